"""What plugins and conftest files of the controller see and call: pytest-xdist's objects, names and hooks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from runner import Project

SUITE = {
    "test_a.py": """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(number): pass
    """
}

HOOKS = """
    def note(*words):
        with open("log", "a") as log:
            print(*words, file=log)

    def pytest_xdist_setupnodes(config, specs):
        note("setupnodes", len(specs), *[spec.id for spec in specs])

    def pytest_xdist_newgateway(gateway):
        note("newgateway", gateway.id)

    def pytest_configure_node(node):
        note("configure_node", node.gateway.id)

    def pytest_xdist_make_scheduler(config, log):
        note("make_scheduler")

    def pytest_testnodeready(node):
        note("testnodeready", node.gateway.id)

    def pytest_xdist_node_collection_finished(node, ids):
        note("collection_finished", node.gateway.id, len(ids))

    def pytest_testnodedown(node, error):
        note("testnodedown", node.gateway.id, error)
"""


@pytest.mark.parametrize("start", ["auto", "spawn"])
def test_all_that_pytest_xdist_shows(project: Project, start: str) -> None:
    """Attribute by attribute, as it was recorded with pytest-xdist; `make compat` compares the two anew."""
    suite = Path(__file__).resolve().parent.parent / "compat" / "surface"
    for name in ("conftest.py", "surface_seen.py", "test_surface.py"):
        project.write({name: (suite / name).read_text()})
    run = project.run("-n3", f"--start-method={start}")
    assert run.code == 1 and run.counts == {"passed": 6, "failed": 1}, str(run)
    seen = json.loads((project.path / "surface.json").read_text())
    recorded = json.loads((suite / "xdist.json").read_text())
    for what in {**seen, **recorded}:
        assert seen.get(what) == recorded.get(what), what


def test_hooks_are_called_in_order_and_once_per_node(project: Project) -> None:
    project.write({**SUITE, "conftest.py": HOOKS})
    run = project.run("-n2")
    assert run.code == 0, str(run)
    lines = project.log()
    assert lines[:10] == [
        "setupnodes 2 gw0 gw1",
        "newgateway gw0",
        "configure_node gw0",
        "newgateway gw1",
        "configure_node gw1",
        "make_scheduler",
        "testnodeready gw0",
        "testnodeready gw1",
        "collection_finished gw0 4",
        "collection_finished gw1 4",
    ]
    assert sorted(lines[10:]) == ["testnodedown gw0 None", "testnodedown gw1 None"]


def test_attributes_of_a_node(project: Project) -> None:
    project.write(
        {
            **SUITE,
            "conftest.py": """
                import os, sys
                import xdist.dsession, xdist.workermanage

                def pytest_configure_node(node):
                    node.workerinput["mine"] = {"a": (1, b"2")}
                    node.anything = {node: 1}
                    assert isinstance(node, xdist.workermanage.WorkerController)
                    assert not hasattr(node, "workeroutput") and not hasattr(node, "workerinfo")

                def pytest_configure(config):
                    if hasattr(config, "workerinput"):
                        assert config.workerinput["mine"] == {"a": (1, b"2")}

                def pytest_sessionfinish(session):
                    config = session.config
                    if hasattr(config, "workerinput"):
                        config.workeroutput["back"] = config.workerinput["workerid"]

                def pytest_runtest_logreport(report):
                    if hasattr(report, "node"):
                        node = report.node
                        assert report.worker_id == node.workerinput["workerid"] == node.gateway.id
                        assert report.testrun_uid == node.workerinput["testrunuid"]
                        assert report.item_index in range(4)

                def pytest_testnodedown(node, error):
                    dsession = node.config.pluginmanager.getplugin("dsession")
                    assert isinstance(dsession, xdist.dsession.DSession)
                    assert node.nodemanager is dsession.nodemanager and node.nodemanager.config is node.config
                    assert node.nodemanager.roots == [] and len(node.nodemanager.specs) == 2
                    assert node.nodemanager.testrunuid == node.workerinput["testrunuid"]
                    assert repr(node) == f"<WorkerController {node.gateway.id}>" and node.shutting_down
                    assert node.workeroutput["back"] == node.gateway.id
                    assert sorted(set(node.workerinput)) == [
                        "mainargv", "mine", "testrunuid", "workercount", "workerid"
                    ]
                    info = node.workerinfo
                    assert info["id"] == node.gateway.id and info["spec"] is node.gateway.spec
                    assert info["executable"] == sys.executable and info["cwd"] == os.getcwd()
                    assert info["version_info"] == tuple(sys.version_info)
                    found = node.gateway._rinfo()
                    assert found.platform == sys.platform == info["sysplatform"]
                    assert found.executable == sys.executable and found.cwd == os.getcwd()
                    assert node.config.pluginmanager.hasplugin("terminaldistreporter")
                    assert node.config.pluginmanager.hasplugin("xdist")
                    with open("log", "a") as log:
                        print("checked", file=log)
            """,
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and project.log() == ["checked"] * 2, str(run)


def test_a_crashed_worker_has_no_output(project: Project) -> None:
    project.write(
        {
            "test_a.py": "import os\ndef test_a(): os._exit(1)\n",
            "conftest.py": """
                def note(*words):
                    with open("log", "a") as log:
                        print(*words, file=log)

                def pytest_testnodeready(node):
                    note(node.gateway.id, "ready")

                def pytest_xdist_node_collection_finished(node, ids):
                    note(node.gateway.id, *ids)

                def pytest_testnodedown(node, error):
                    note(node.gateway.id, hasattr(node, "workeroutput"), bool(error))
            """,
        }
    )
    run = project.run("-n1")
    assert run.code == 1 and project.log() == [
        "gw0 ready",
        "gw0 test_a.py::test_a",
        "gw0 False True",
        "gw1 ready",
        "gw1 test_a.py::test_a",
        "gw1 True False",
    ], str(run)


def test_what_plugins_ask_the_session(project: Project) -> None:
    """How many workers there are, how many have failed; and that it shall stop, with a reason."""
    project.write(
        {
            "test_a.py": "import os\ndef test_a(): os._exit(1)\ndef test_b(): pass\ndef test_c(): pass\n",
            "conftest.py": """
                def pytest_testnodedown(node, error):
                    dsession = node.config.pluginmanager.getplugin("dsession")
                    with open("log", "a") as log:
                        print(
                            node.gateway.id,
                            [other.gateway.id for other in dsession._active_nodes],
                            bool(error),
                            dsession.shuttingdown,
                            dsession.shouldstop,
                            file=log,
                        )

                def pytest_runtest_logreport(report):
                    if hasattr(report, "node") and report.nodeid.endswith("test_b") and report.when == "call":
                        dsession = report.node.config.pluginmanager.getplugin("dsession")
                        assert dsession._failed_nodes_count == 1
                        assert [node.gateway.id for node in dsession._active_nodes] == ["gw1"]
                        dsession.shouldstop = "enough of it"
            """,
        }
    )
    run = project.run("-n1")
    assert run.code == 2 and "enough of it" in run.out, str(run)
    assert project.log() == ["gw0 [] True False False", "gw1 [] False True enough of it"]


def test_events_of_plugins(project: Project) -> None:
    """Put on the session's queue by a thread, as plugins do that stop a run at some time."""
    project.write(
        {
            "conftest.py": """
                import threading

                def pytest_runtest_logreport(report):
                    if not hasattr(report, "node") or report.nodeid != "test_a.py::test_first":
                        return
                    dsession = report.node.config.pluginmanager.getplugin("dsession")

                    def worker_time_is_up(reason):
                        dsession.shouldstop = reason
                        dsession.triggershutdown()
                        open("stopped", "w").close()

                    dsession.worker_time_is_up = worker_time_is_up
                    event = ("time_is_up", {"reason": "time is up"})
                    if report.when == "call":
                        threading.Timer(0.1, dsession.queue.put, [event]).start()
            """,
            "test_a.py": """
                import os, time
                import pytest

                def test_first(): pass

                @pytest.mark.parametrize("number", range(5))
                def test_then(number):
                    while not os.path.exists("stopped"):
                        time.sleep(0.01)
            """,
        }
    )
    run = project.run("-n1")
    assert run.code == 2 and run.counts == {"passed": 2} and "time is up" in run.out, str(run)


def test_a_plugin_takes_the_session_away(project: Project) -> None:
    """As conftest files do that find a debugger: they know it by its text."""
    project.write(
        {
            **SUITE,
            "conftest.py": """
                def pytest_plugin_registered(plugin, manager):
                    if "xdist.dsession.DSession" in str(plugin):
                        manager.unregister(plugin)
            """,
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.counts == {"passed": 4} and not run.workers, str(run)


def test_the_package_xdist() -> None:
    """Everything that public code was seen to import."""
    import xdist
    import xdist.dsession
    import xdist.looponfail
    import xdist.newhooks
    import xdist.plugin
    import xdist.remote
    import xdist.report
    import xdist.scheduler
    import xdist.scheduler.each
    import xdist.scheduler.load
    import xdist.scheduler.loadfile
    import xdist.scheduler.loadgroup
    import xdist.scheduler.loadscope
    import xdist.scheduler.protocol
    import xdist.scheduler.worksteal
    import xdist.workermanage

    assert xdist.__version__ == "3.8.0"
    for name in (
        "is_xdist_worker",
        "is_xdist_controller",
        "is_xdist_master",
        "get_xdist_worker_id",
    ):
        assert getattr(xdist, name) is getattr(xdist.plugin, name)
    for name in ("Load", "LoadScope", "LoadFile", "LoadGroup", "Each", "WorkStealing"):
        cls = getattr(xdist.scheduler, f"{name}Scheduling")
        assert getattr(xdist.dsession, cls.__name__) is cls
    assert xdist.workermanage.parse_spec_config is xdist.workermanage.parse_tx_spec_config
    assert xdist.newhooks.pytest_handlecrashitem and xdist.remote.Producer("x")("y") is None
    assert xdist.report.report_collection_diff(["a"], ["a"], "1", "2") is None


PLUGIN_OPTIONS = {
    "-p xdist": ("-p", "xdist"),
    "-p xdist.plugin": ("-p", "xdist.plugin"),
    "-p xdist -p xdist.looponfail": ("-p", "xdist", "-p", "xdist.looponfail"),
    "-p no:xdist.looponfail": ("-p", "xdist", "-p", "no:xdist.looponfail"),
}


@pytest.mark.parametrize("autoload", [True, False], ids=["autoload", "no autoload"])
@pytest.mark.parametrize("options", PLUGIN_OPTIONS.values(), ids=PLUGIN_OPTIONS)
def test_named_as_a_plugin(project: Project, options: tuple[str, ...], autoload: bool) -> None:
    project.write(SUITE)
    if autoload and "xdist.plugin" in options:
        pytest.skip(
            "pytest loads the module under two names, and refuses that: with pytest-xdist too"
        )
    env = {} if autoload else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = project.run(*options, "-n2", env=env)
    assert run.code == 0 and run.counts == {"passed": 4}, str(run)
    assert run.workers and run.workers <= {"gw0", "gw1"}


@pytest.mark.parametrize("autoload", [True, False], ids=["autoload", "no autoload"])
def test_left_out_as_a_plugin(project: Project, autoload: bool) -> None:
    project.write(SUITE)
    env = {} if autoload else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    assert project.run("-p", "no:xdist", env=env).counts == {"passed": 4}
    refused = project.run("-p", "no:xdist", "-n2", env=env)
    assert refused.code == 4 and "unrecognized arguments" in refused.err, str(refused)


MAIN = """
    import sys, threading
    import pytest

    def main():
        codes.append(int(pytest.main(["-n2", "-q", "-p", "no:cacheprovider", "test_a.py"])))

    codes = []
    if sys.argv[1] == "thread":
        thread = threading.Thread(target=main)
        thread.start()
        thread.join()
    else:
        main()
        main()
    print("codes", codes)
"""


@pytest.mark.parametrize("where", ["script", "thread"])
def test_pytest_main(project: Project, where: str) -> None:
    import subprocess

    from runner import clean_environment

    project.write({**SUITE, "main.py": MAIN})
    done = subprocess.run(
        [sys.executable, "main.py", where],
        cwd=project.path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=180,
    )
    codes = [0] if where == "thread" else [0, 0]
    assert f"codes {codes}" in done.stdout and done.stdout.count("4 passed") == len(codes), (
        done.stdout + done.stderr
    )


def test_a_run_inside_of_a_worker(project: Project) -> None:
    """Nothing of the outer run reaches the inner one: identity, queue, traps."""
    project.write(
        {
            "test_outer.py": """
                import os, subprocess, sys
                import pytest

                @pytest.mark.parametrize("where", ["process", "here"])
                def test_outer(where, worker_id, tmp_path, monkeypatch):
                    (tmp_path / "test_inner.py").write_text(INNER)
                    (tmp_path / "conftest.py").write_text(CONFTEST)
                    args = ["-n3", "-p", "no:cacheprovider", "-q", str(tmp_path)]
                    if where == "process":
                        code = subprocess.call([sys.executable, "-m", "pytest", *args], cwd=tmp_path)
                    else:
                        monkeypatch.chdir(tmp_path)
                        code = pytest.main(args)
                    assert code == 0
                    assert os.environ["PYTEST_XDIST_WORKER"] == worker_id
                    assert sorted((tmp_path / "log").read_text().split()) == [
                        "gw0-3", "gw1-3", "gw2-3"
                    ]

                CONFTEST = '''
                def pytest_xdist_make_scheduler(config, log):
                    from xdist.scheduler import EachScheduling
                    return EachScheduling(config, log)
                '''.replace(chr(10) + " " * 16, chr(10))

                INNER = '''
                import os

                def test_inner(worker_id):
                    assert os.environ["PYTEST_XDIST_WORKER"] == worker_id
                    with open("log", "a") as log:
                        print(worker_id + "-" + os.environ["PYTEST_XDIST_WORKER_COUNT"], file=log)
                '''.replace(chr(10) + " " * 16, chr(10))
            """
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.counts == {"passed": 2}, str(run)
