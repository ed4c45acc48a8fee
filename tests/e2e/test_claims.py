"""Just-in-time claims: a test is claimed when the one before it is torn down, and hooks see real items only."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import pytest
from runner import UNTIL_TOLD, Project

MANY = """
    import pytest

    @pytest.fixture(scope="module")
    def module(worker_id):
        yield
        with open("log", "a") as file: file.write(f"{worker_id} module\\n")

    @pytest.mark.parametrize("number", range(20))
    def test_many(number, module): pass
"""

SPY = """
    import json, os
    import pytest

    def see(item, nextitem, who):
        with open("seen", "a") as file:
            file.write(json.dumps([
                os.environ["PYTEST_XDIST_WORKER"], who, item.nodeid,
                None if nextitem is None else nextitem.nodeid,
                nextitem is None or type(nextitem) is pytest.Function,
            ]) + "\\n")
"""

TEARDOWN_HOOKS = {
    "plain": """
    def pytest_runtest_teardown(item, nextitem):
        see(item, nextitem, "plain")
    """,
    "tryfirst": """
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(item, nextitem):
        see(item, nextitem, "tryfirst")
    """,
    "trylast": """
    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(item, nextitem):
        see(item, nextitem, "trylast")
    """,
    "wrapper": """
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(item, nextitem):
        see(item, nextitem, "wrapper")
        result = yield
        see(item, nextitem, "wrapper after")
        return result
    """,
    "old wrapper": """
    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_teardown(item, nextitem):
        see(item, nextitem, "old wrapper")
        yield
    """,
}


def seen(project: Project) -> list[list[Any]]:
    return [json.loads(line) for line in project.log("seen")]


def check_seen(entries: list[list[Any]], collected: int) -> None:
    assert entries and all(is_real for *_, is_real in entries)
    by_worker: dict[str, list[list[Any]]] = defaultdict(list)
    for entry in entries:
        by_worker[entry[0]].append(entry)
    for mine in by_worker.values():
        # Each sees the test that really comes next, and None once, at the end.
        order = list(dict.fromkeys(entry[2] for entry in mine))
        following = dict(zip(order, [*order[1:], None]))
        for _, _, nodeid, nextid, _ in mine:
            assert nextid == following[nodeid]
    assert len({entry[2] for entry in entries}) == collected


@pytest.mark.parametrize("hook", TEARDOWN_HOOKS)
def test_teardown_sees_real_items(project: Project, hook: str) -> None:
    project.write({"conftest.py": SPY + TEARDOWN_HOOKS[hook], "test_a.py": MANY})
    run = project.run("-n2")
    assert run.counts == {"passed": 20}, str(run)
    check_seen(seen(project), 20)
    assert not run.has_line("early claims")


def test_teardown_hook_of_a_subdirectory(project: Project) -> None:
    project.write(
        {"sub/conftest.py": SPY + TEARDOWN_HOOKS["plain"], "sub/test_a.py": MANY, "test_b.py": MANY}
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 40}, str(run)
    entries = seen(project)
    assert len(entries) == 20 and all(entry[2].startswith("sub/") and entry[4] for entry in entries)


@pytest.mark.parametrize("number", ["-n1", "-n3"])
def test_last_test_has_no_next(project: Project, number: str) -> None:
    project.write(
        {"conftest.py": SPY + TEARDOWN_HOOKS["plain"], "test_a.py": MANY, "test_b.py": MANY}
    )
    run = project.run(number)
    assert run.counts == {"passed": 40}, str(run)
    ends = Counter(entry[0] for entry in seen(project) if entry[3] is None)
    assert set(ends) == run.workers and set(ends.values()) == {1}


@pytest.mark.parametrize("dist", ["load", "loadfile", "worksteal"])
def test_module_fixtures_are_torn_down_when_left(project: Project, dist: str) -> None:
    """Set up once for each stay in a module, torn down in the same worker, before the next module's."""
    project.write(
        {
            "conftest.py": """
                import pytest

                @pytest.fixture(scope="module", autouse=True)
                def stay(request, worker_id):
                    def note(what):
                        with open("log", "a") as file: file.write(f"{worker_id} {what} {request.node.name}\\n")
                    note("up")
                    yield
                    note("down")
            """,
            **{
                f"test_{name}.py": "import pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_n(n): pass\n"
                for name in "abcd"
            },
        }
    )
    run = project.run("-n2", f"--dist={dist}")
    assert run.counts == {"passed": 32}, str(run)
    ups = 0
    for worker in run.workers:
        mine = [line.split()[1:] for line in project.log() if line.startswith(worker)]
        pairs = list(zip(mine[::2], mine[1::2]))
        ups += len(pairs)
        assert len(mine) % 2 == 0
        assert all(up == ["up", down[1]] and down[0] == "down" for up, down in pairs), mine
    if dist == "loadfile":
        assert ups == 4


def test_none_waits_behind_a_long_test(project: Project) -> None:
    """pytest-xdist hands out tests ahead: here test_1 would wait for test_0 (its B31)."""
    project.write(
        {
            "test_a.py": """
                import os, time
                import pytest

                def test_0():
                    deadline = time.monotonic() + 60
                    while len(os.listdir("done")) < 39:
                        assert time.monotonic() < deadline, os.listdir("done")
                        time.sleep(0.01)

                @pytest.mark.parametrize("number", range(39))
                def test_instant(number): open(f"done/{number}", "w").close()
            """,
            "done/../keep": "",
        }
    )
    (project.path / "done").mkdir(exist_ok=True)
    for number in ("-n2", "-n4"):
        for name in (project.path / "done").iterdir():
            name.unlink()
        run = project.run(number)
        assert run.counts == {"passed": 40}, str(run)


@pytest.mark.parametrize(
    "kind", ["", "@pytest.hookimpl(wrapper=True)", "@pytest.hookimpl(tryfirst=True)"]
)
def test_protocol_that_wants_the_next_item(project: Project, kind: str) -> None:
    body = "return (yield)" if "wrapper" in kind else "return None"
    project.write(
        {
            "conftest.py": SPY
            + f"""
    {kind}
    def pytest_runtest_protocol(item, nextitem):
        see(item, nextitem, "protocol")
        {body}
    """,
            "test_a.py": MANY,
        }
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 20}, str(run)
    check_seen(seen(project), 20)
    assert run.has_line("^early claims: .*conftest.py$"), str(run)


def test_protocol_that_only_names_the_item(project: Project) -> None:
    project.write(
        {"conftest.py": "def pytest_runtest_protocol(item): item.seen = True\n", "test_a.py": MANY}
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 20} and not run.has_line("early claims")


def test_protocol_of_a_plugin_of_its_own(project: Project) -> None:
    """A protocol that runs a test twice, and one that never calls teardown: one claim each."""
    project.write(
        {
            "conftest.py": """
                from _pytest.runner import runtestprotocol

                def pytest_runtest_protocol(item, nextitem):
                    if "twice" in item.name:
                        runtestprotocol(item, nextitem=nextitem, log=False)
                        item._initrequest()
                        for report in runtestprotocol(item, nextitem=nextitem, log=False):
                            item.ihook.pytest_runtest_logreport(report=report)
                        return True
                    if "never" in item.name:
                        return True
            """,
            "test_a.py": """
                import pytest

                def note(text):
                    with open("log", "a") as file: file.write(text + "\\n")

                @pytest.mark.parametrize("n", range(3))
                def test_twice(n): note(f"twice{n}")

                @pytest.mark.parametrize("n", range(3))
                def test_never(n): note(f"never{n}")

                @pytest.mark.parametrize("n", range(3))
                def test_normal(n): note(f"normal{n}")
            """,
        }
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 6}, str(run)
    assert sorted(project.log()) == sorted(
        [f"twice{n}" for n in range(3)] * 2 + [f"normal{n}" for n in range(3)]
    )


@pytest.mark.parametrize("number", ["-n1", "-n2"])
def test_stop_in_the_middle_tears_down(project: Project, number: str) -> None:
    """After -x the worker's last teardown gets None: session and module fixtures end there, once."""
    project.write(
        {
            "conftest.py": SPY
            + TEARDOWN_HOOKS["plain"]
            + UNTIL_TOLD
            + """
    @pytest.fixture(scope="session", autouse=True)
    def session(worker_id):
        yield
        with open("log", "a") as file: file.write(f"{worker_id} session\\n")
    """,
            "test_a.py": """
                import pytest

                @pytest.mark.parametrize("n", range(30))
                def test_n(n, until_told):
                    assert n != 3
                    if n > 3:
                        until_told()
            """,
        }
    )
    run = project.run("-x", number)
    assert run.code == 1 and run.counts["failed"] == 1, str(run)
    assert Counter(project.log()) == {f"{worker} session": 1 for worker in run.workers}
    assert len(run.outcomes) < 30
    assert len({entry[2] for entry in seen(project)}) == len(run.outcomes)
