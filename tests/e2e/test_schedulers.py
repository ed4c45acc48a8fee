"""Schedulers of plugins and conftest files, of the kinds that real suites have: subclasses that say what
belongs together (freqtrade, tvm), that pick the worker (Sentry, suites with a GPU for each worker), that
choose what to send (suites with tests that must not run beside each other), and one of somebody's own."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest
from runner import Project

SUITE = """
    import os
    import pytest

    @pytest.fixture(autouse=True)
    def note(request, worker_id):
        yield
        with open("log", "a") as log:
            log.write(f"{worker_id} {request.node.nodeid}\\n")

    @pytest.mark.parametrize("env", ["a", "b", "c"])
    @pytest.mark.parametrize("step", range(6))
    def test_step(step, env):
        pass
"""

SPLIT = """
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class ByEnvironment(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return nodeid.rpartition("-")[2].rstrip("]")

    def pytest_xdist_make_scheduler(config, log):
        return ByEnvironment(config, log)
"""


def who_ran(project: Project) -> dict[str, set[str]]:
    """Environment of the test: the workers that ran tests of it."""
    found: dict[str, set[str]] = {}
    for line in project.log():
        worker, nodeid = line.split()
        found.setdefault(nodeid[-2], set()).add(worker)
    return found


def ran_once(project: Project, count: int = 18) -> None:
    runs = Counter(line.split()[1] for line in project.log())
    assert len(runs) == count and set(runs.values()) == {1}, runs


def test_scopes_of_ones_own(project: Project) -> None:
    project.write({"test_a.py": SUITE, "conftest.py": SPLIT})
    run = project.run("-n3", "-v")
    assert run.code == 0 and run.counts == {"passed": 18}, str(run)
    assert run.has_line("scheduling tests via ByEnvironment")
    ran_once(project)
    assert all(len(workers) == 1 for workers in who_ran(project).values()), project.log()


def test_workers_that_were_spawned(project: Project) -> None:
    """They are asked for before there is a scheduler."""
    project.write({"test_a.py": SUITE, "conftest.py": SPLIT})
    run = project.run("-n2", "--start-method=spawn")
    assert run.code == 0 and run.counts == {"passed": 18}, str(run)
    ran_once(project)


def test_a_worker_for_each_resource(project: Project) -> None:
    """Affinity: each node says in its environment which resource it has; units go where theirs is."""
    project.write(
        {
            "test_a.py": SUITE,
            "conftest.py": """
                from xdist.scheduler import LoadScopeScheduling

                class Affine(LoadScopeScheduling):
                    def add_node(self, node):
                        super().add_node(node)
                        node.affinity = node.workerinfo["spec"].env["RESOURCE"]

                    def _split_scope(self, nodeid):
                        return nodeid.rpartition("-")[2].rstrip("]") + ":" + nodeid[-8:]

                    def _assign_work_unit(self, node):
                        for scope in list(self.workqueue):
                            if scope[0] == node.affinity:
                                self.workqueue.move_to_end(scope, last=False)
                                super()._assign_work_unit(node)
                                return

                    def _reschedule(self, node):
                        if node.shutting_down:
                            return
                        if not any(scope[0] == node.affinity for scope in self.workqueue):
                            node.shutdown()
                            return
                        if self._pending_of(self.assigned_work[node]) <= 2:
                            self._assign_work_unit(node)

                def pytest_xdist_setupnodes(config, specs):
                    for spec, name in zip(specs, "cab"):
                        spec.env["RESOURCE"] = name

                def pytest_xdist_make_scheduler(config, log):
                    return Affine(config, log)
            """,
        }
    )
    run = project.run("-n3")
    assert run.code == 0 and run.counts == {"passed": 18}, str(run)
    ran_once(project)
    assert who_ran(project) == {"c": {"gw0"}, "a": {"gw1"}, "b": {"gw2"}}


def test_what_to_send_is_chosen(project: Project) -> None:
    """A subclass of LoadScheduling sends all tests of one kind to one node, first of all."""
    project.write(
        {
            "test_a.py": SUITE,
            "conftest.py": """
                from xdist.dsession import LoadScheduling

                class Destructive(LoadScheduling):
                    chosen = None

                    def _send_tests(self, node, num):
                        if self.chosen is None:
                            self.chosen = node
                            tests = [i for i in self.pending if "-a]" in self.collection[i]]
                            for index in tests:
                                self.pending.remove(index)
                            self.node2pending[node].extend(tests)
                            node.send_runtest_some(tests)
                            return
                        super()._send_tests(node, num)

                def pytest_xdist_make_scheduler(config, log):
                    return Destructive(config, log)
            """,
        }
    )
    run = project.run("-n3")
    assert run.code == 0 and run.counts == {"passed": 18}, str(run)
    ran_once(project)
    assert who_ran(project)["a"] == {"gw0"}


def test_stealing(project: Project) -> None:
    """One worker has a long test: the others take from it what it has not begun, while it runs."""
    project.write(
        {
            "test_a.py": """
                import os, time
                import pytest

                @pytest.mark.parametrize("number", range(12))
                def test_it(number, worker_id):
                    open(f"ran-{number}-{worker_id}", "w").close()
                    if number == 0:  # until all others have run, of which half were its worker's
                        while len([n for n in os.listdir() if n.startswith("ran-")]) < 11:
                            time.sleep(0.01)
            """,
            "conftest.py": """
                from xdist.scheduler import WorkStealingScheduling

                def pytest_xdist_make_scheduler(config, log):
                    return WorkStealingScheduling(config, log)
            """,
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.counts == {"passed": 12}, str(run)
    # 0 runs, 1 is held behind it: all else went to the other worker.
    others = [name for name in os.listdir(project.path) if name.endswith("-gw1")]
    assert len(others) == 10, others


OWN = """
    class Own:
        def __init__(self, config, log):
            self.count = len(config.getoption("tx"))
            self.nodes, self.collections, self.left = [], {}, {}

        @property
        def collection_is_completed(self):
            return len(self.collections) == self.count

        @property
        def has_pending(self):
            return any(self.left.values())

        @property
        def tests_finished(self):
            return self.collection_is_completed and all(len(x) < 2 for x in self.left.values())

        def add_node(self, node):
            self.nodes.append(node)
            self.left[node] = []

        def add_node_collection(self, node, collection):
            self.collections[node] = list(collection)

        def schedule(self):
            ids = self.collections[self.nodes[0]]
            for at, node in enumerate(self.nodes):
                self.left[node] = list(range(len(ids)))[at::self.count]
                node.send_runtest_some(self.left[node])

        def mark_test_complete(self, node, item_index, duration=0):
            assert duration >= 0
            self.left[node].remove(item_index)

        def remove_node(self, node):
            self.nodes.remove(node)
            left = self.left.pop(node)
            return self.collections[node][left[0]] if left else None

    def pytest_xdist_make_scheduler(config, log):
        log("made", config)
        log.own("child")
        return Own(config, log)
"""


def test_a_class_of_ones_own(project: Project) -> None:
    project.write({"test_a.py": SUITE, "conftest.py": OWN})
    run = project.run("-n3")
    assert run.code == 0 and run.counts == {"passed": 18}, str(run)
    ran_once(project)
    workers = Counter(line.split()[0] for line in project.log())
    assert workers == {"gw0": 6, "gw1": 6, "gw2": 6}
    assert run.err == ""
    debug = project.run("-n3", "--debug")
    assert "[dsession] made" in debug.err and "[dsession-own] child" in debug.err


@pytest.mark.parametrize("name", ["LoadScheduling", "WorkStealingScheduling", "LoadFileScheduling"])
def test_a_crash(project: Project, name: str) -> None:
    """The test that ran is reported, the others run, each once, whoever had been sent them."""
    files = {f"test_{i}.py": SUITE.replace("def test_step", f"def test_{i}") for i in range(2)}
    files["test_0.py"] += "\n    def test_crash():\n        os._exit(7)\n"
    files["conftest.py"] = f"""
        from xdist.scheduler import {name}

        class Mine({name}):
            pass

        def pytest_xdist_make_scheduler(config, log):
            return Mine(config, log)
    """
    project.write(files)
    run = project.run("-n2")
    assert run.code == 1 and run.counts == {"failed": 1, "passed": 36}, str(run)
    ran_once(project, 36)
    assert run.has_line("worker 'gw.' crashed while running 'test_0.py::test_crash'")
    assert run.has_line("replacing crashed worker gw")


def test_a_crashed_test_is_run_again(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import os

                def test_a(): pass
                def test_b():
                    if not os.path.exists("once"):
                        open("once", "w").close()
                        os._exit(1)
                def test_c(): pass
            """,
            "conftest.py": """
                from xdist.scheduler import LoadScheduling

                def pytest_xdist_make_scheduler(config, log):
                    return LoadScheduling(config, log)

                def pytest_handlecrashitem(crashitem, report, sched):
                    assert isinstance(sched, LoadScheduling)
                    sched.mark_test_pending(crashitem)
                    report.outcome = "rerun"
            """,
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.outcomes["test_a.py::test_b"] == ["passed", "rerun"], str(run)


def test_groups(project: Project) -> None:
    """With loadgroup a scheduler sees nodeid@group, and nobody else does."""
    project.write(
        {
            "test_a.py": """
                import pytest

                @pytest.mark.xdist_group("left")
                def test_a(): pass
                def test_b(): pass
                @pytest.mark.xdist_group(name="left")
                def test_c(): pass
            """,
            "conftest.py": """
                from xdist.scheduler import LoadGroupScheduling

                class Mine(LoadGroupScheduling):
                    def add_node_collection(self, node, collection):
                        super().add_node_collection(node, collection)
                        open("seen", "w").write(repr(list(collection)))

                def pytest_xdist_make_scheduler(config, log):
                    return Mine(config, log)
            """,
        }
    )
    run = project.run("-n2", "--dist=loadgroup")
    assert run.code == 0 and run.counts == {"passed": 3}, str(run)
    seen = (project.path / "seen").read_text()
    assert seen == "['test_a.py::test_a@left', 'test_a.py::test_b', 'test_a.py::test_c@left']"
    assert sorted(run.outcomes) == ["test_a.py::test_a", "test_a.py::test_b", "test_a.py::test_c"]
    left = {run.report_of(f"test_a.py::test_{name}")["worker"] for name in "ac"}
    assert len(left) == 1


def test_the_next_item_is_the_real_one(project: Project) -> None:
    """A module fixture is torn down between modules, and once: the worker knows what follows."""
    test = """
        import pytest

        @pytest.fixture(scope="module")
        def mark(worker_id):
            yield
            with open("log", "a") as log:
                log.write(f"{__name__} {worker_id}\\n")

        @pytest.mark.parametrize("number", range(5))
        def test_it(number, mark): pass
    """
    project.write(
        {
            "test_a.py": test,
            "test_b.py": test,
            "conftest.py": """
                from xdist.scheduler import LoadFileScheduling

                def pytest_xdist_make_scheduler(config, log):
                    return LoadFileScheduling(config, log)
            """,
        }
    )
    run = project.run("-n1")
    assert run.code == 0 and project.log() == ["test_a gw0", "test_b gw0"], str(run)


STALLS = [
    ("sends nothing", "self.left[node] = []"),
    ("forgets half", "self.left[node] = []; node.send_runtest_some([0, 1] if at == 0 else [])"),
]


@pytest.mark.parametrize("what", STALLS, ids=lambda what: what[0])
def test_one_that_stalls_is_no_run_without_an_end(project: Project, what: tuple[str, str]) -> None:
    scheduler = OWN.replace(
        "self.left[node] = list(range(len(ids)))[at::self.count]", what[1]
    ).replace("node.send_runtest_some(self.left[node])", "pass")
    scheduler = scheduler.replace("all(len(x) < 2 for x in self.left.values())", "False")
    scheduler = scheduler.replace("self.left[node].remove(item_index)", "pass")
    project.write({"test_a.py": SUITE, "conftest.py": scheduler})
    run = project.run("-n2")
    assert run.code == 1, str(run)
    assert run.has_line("scheduler Own left every worker waiting and sent no more tests")
    assert run.has_line("not run, as no worker was left")


def test_a_test_that_does_not_exist(project: Project) -> None:
    project.write(
        {
            "test_a.py": SUITE,
            "conftest.py": OWN.replace("[at::self.count]", "[at::self.count] + [99]"),
        }
    )
    run = project.run("-n2")
    assert run.code == 3 and "there is no test 99, only 18 were collected" in run.out, str(run)


@pytest.mark.parametrize("option", ["-x", "--maxfail=1"])
def test_a_run_that_stops(project: Project, option: str) -> None:
    suite = SUITE + "\n    def test_bad(): assert 0\n"
    project.write({"test_a.py": suite.replace("range(6)", "range(60)"), "conftest.py": SPLIT})
    run = project.run("-n2", option)
    assert run.code == 1 and run.counts["failed"] == 1, str(run)
    assert run.has_line("stopping after 1 failures")


class TestEach:
    """--dist each: every worker runs every test."""

    def test_all_on_all(self, project: Project) -> None:
        project.write({"test_a.py": SUITE})
        run = project.run("--dist=each", "--tx=3*popen", "-v")
        assert run.code == 0 and run.counts == {"passed": 54}, str(run)
        assert run.has_line("scheduling tests via EachScheduling")
        runs = Counter(line.split()[1] for line in project.log())
        assert len(runs) == 18 and set(runs.values()) == {3}

    def test_more_than_a_mailbox_holds(self, project: Project) -> None:
        project.write(
            {
                "test_a.py": """
                    import pytest

                    @pytest.mark.parametrize("number", range(1500))
                    def test_it(number): pass
                """
            }
        )
        run = project.run("-n2", "--dist=each", "-q")
        assert run.code == 0 and run.counts == {"passed": 3000}, str(run)

    def test_a_crash(self, project: Project) -> None:
        project.write({"test_a.py": SUITE + "\n    def test_crash(): os._exit(1)\n"})
        run = project.run("--dist=each", "--tx=2*popen")
        assert run.code == 1 and run.counts == {"failed": 2, "passed": 36}, str(run)

    def test_a_crash_without_replacement_is_not_green(self, project: Project) -> None:
        project.write(
            {
                "test_a.py": """
                    import os

                    def test_crash(worker_id):
                        if worker_id == "gw0":
                            os._exit(1)
                    def test_b(): pass
                    def test_c(): pass
                """
            }
        )
        run = project.run("--dist=each", "--tx=2*popen", "--max-worker-restart=0")
        assert run.code == 1 and run.has_line("2 not run, as no worker was left"), str(run)


def test_environments_of_tx(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import json, os
                import pytest

                @pytest.mark.parametrize("number", range(4))
                def test_it(number, worker_id):
                    with open("log", "a") as log:
                        it = [worker_id, os.environ["PYTEST_XDIST_WORKER"], os.environ.get("DB"), os.nice(0)]
                        log.write(json.dumps(it) + "\\n")
            """
        }
    )
    run = project.run(
        "--dist=each", "--tx", "popen//env:DB=one//id=left", "--tx", "popen//nice=3//env:DB=two"
    )
    assert run.code == 0, str(run)
    seen: Any = {tuple(json.loads(line)) for line in project.log()}
    here = os.nice(0)
    assert seen == {
        ("left", "left", "one", here),
        ("gw0", "gw0", "two", min(here + 3, 19)),
    }
    assert run.workers == {"left", "gw0"}
