"""Writes surface.json: what the controller's conftest files and plugins see of pytest-xdist's objects, hook by
hook, and what they find in a worker. A suite of tests/compat, and of tests/e2e/test_surface.py."""

import json
import os
import sys
import threading

import surface_seen
from surface_seen import look, types

import xdist.dsession
import xdist.workermanage

SEEN = {}
CALLS = []  # hooks of xdist, in their order
FIRST = ("gw0", "gw1", "gw2")  # and gw3, in the place of the one that dies

NODE = [
    "gateway",
    "config",
    "nodemanager",
    "workerinput",
    "workeroutput",
    "workerinfo",
    "shutting_down",
    "send_runtest_some",
    "send_runtest_all",
    "send_steal",
    "shutdown",
    "slaveinput",
    "slaveoutput",
    "workerid",
]
GATEWAY = ["id", "spec", "_rinfo"]
SPEC = ["id", "popen", "chdir", "python", "env", "ssh", "socket", "via"]
DSESSION = [
    "config",
    "nodemanager",
    "sched",
    "terminal",
    "trdist",
    "queue",
    "shuttingdown",
    "shouldstop",
    "maxfail",
    "countfailures",
    "log",
    "session_finished",
    "_session",
    "_active_nodes",
    "_failed_nodes_count",
    "triggershutdown",
    "report_line",
    "worker_workerready",
    "worker_workerfinished",
    "worker_errordown",
    "worker_collectionfinish",
]
SCHED = [
    "config",
    "numnodes",
    "nodes",
    "collection",
    "collection_is_completed",
    "has_pending",
    "mark_test_pending",
]
REPORTER = ["config", "tr", "write_line", "ensure_show_status", "setstatus", "getstatus", "rewrite"]


def note(hook, node=None):
    CALLS.append([hook, getattr(node, "gateway", node) and getattr(node, "gateway", node).id])


def first(name):
    """Once, whoever comes first."""
    return name not in SEEN and (SEEN.setdefault(name, {}) == {})


def is_controller(config):
    return not hasattr(config, "workerinput")


# ---- the controller ----


def pytest_xdist_setupnodes(config, specs):
    note("setupnodes")
    SEEN["specs"] = [look(spec, *SPEC) for spec in specs]
    for number, spec in enumerate(specs):
        spec.env["SURFACE_NUMBER"] = str(number)


def pytest_xdist_newgateway(gateway):
    note("newgateway", gateway)
    if first("gateway"):
        found = gateway._rinfo()
        SEEN["gateway"] = {
            **look(gateway, *GATEWAY),
            "spec is that of setupnodes": gateway.spec.env["SURFACE_NUMBER"] == "0",
            "rinfo": look(found, "platform", "version_info"),
            "rinfo.executable": found.executable == sys.executable,
            "rinfo.cwd": found.cwd == os.getcwd(),
        }


def pytest_configure_node(node):
    note("configure_node", node)
    node.anything = {node: 1}  # hashable, and open for attributes
    node.workerinput["surface"] = (1, b"2", {3}, {"four": 5.0})
    node.workerinput["path"] = list(sys.path)
    if first("node when it is configured"):
        manager = node.nodemanager
        SEEN["node when it is configured"] = {
            **look(node, *NODE),
            "class": isinstance(node, xdist.workermanage.WorkerController),
            "repr": repr(node),
            "gateway.node": node.gateway.node is node,
            "workerinput": types(node.workerinput),
            "workerinput.workerid": node.workerinput["workerid"],
            "workerinput.workercount": node.workerinput["workercount"],
            "workerinput.mainargv": node.workerinput["mainargv"] == sys.argv,
            "nodemanager": look(manager, "config", "roots", "specs"),
            "nodemanager.specs": [spec.id for spec in manager.specs],
            "nodemanager.testrunuid": manager.testrunuid == node.workerinput["testrunuid"],
            "nodemanager.group": [gateway.id for gateway in manager.group],
            "nodemanager.config": manager.config is node.config,
        }


def pytest_xdist_make_scheduler(config, log):
    note("make_scheduler")
    log("some words")
    SEEN["log"] = [callable(log), callable(log.anything)]


def pytest_testnodeready(node):
    note("testnodeready", node)
    dsession = node.config.pluginmanager.getplugin("dsession")
    if first("node when it is ready"):
        info = node.workerinfo
        SEEN["node when it is ready"] = {
            **look(node, *NODE),
            "workerinfo": sorted(info),
            "workerinfo.id": info["id"] == node.gateway.id,
            "workerinfo.spec": info["spec"] is node.gateway.spec,
            "workerinfo.version_info": info["version_info"] == tuple(sys.version_info),
            "workerinfo.sysplatform": info["sysplatform"] == sys.platform,
            "workerinfo.executable": info["executable"] == sys.executable,
            "workerinfo.cwd": info["cwd"] == os.getcwd(),
        }
        # An event of one's own, put there from a thread: the session calls worker_NAME for it.
        dsession.worker_of_mine = lambda word: SEEN.update({"event of one's own": word})
        event = ("of_mine", {"word": "heard"})
        thread = threading.Thread(target=dsession.queue.put, args=(event,))
        thread.start()
        thread.join()


def pytest_xdist_node_collection_finished(node, ids):
    note("collection_finished", node)
    SEEN["ids"] = list(ids)


def pytest_runtest_logreport(report):
    if not hasattr(report, "node"):
        return
    node = report.node
    name = "report of a crash" if report.when == "???" else "report"
    if first(name):
        SEEN[name] = {
            "when": report.when if name != "report" else "",
            "node": isinstance(node, xdist.workermanage.WorkerController),
            "line": str(report.longrepr).partition("\n")[0].replace(node.gateway.id, "gw"),
        }
        if name == "report":
            SEEN[name] = {
                **look(report, "testrun_uid", "worker_id", "item_index"),
                "worker_id": report.worker_id == node.gateway.id,
                "testrun_uid": report.testrun_uid == node.workerinput["testrunuid"],
                "item_index": isinstance(report.item_index, int),
            }
        dsession = node.config.pluginmanager.getplugin("dsession")
        if name == "report" and len(CALLS) > 1:
            SEEN["dsession"] = {
                **look(dsession, *DSESSION),
                "class": isinstance(dsession, xdist.dsession.DSession),
                "text": str(dsession).partition(" object")[0],
                "active": node in dsession._active_nodes,
                "nodemanager": dsession.nodemanager is node.nodemanager,
                "terminal": dsession.terminal
                is node.config.pluginmanager.getplugin("terminalreporter"),
            }
            SEEN["sched"] = {
                **look(dsession.sched, *SCHED),
                "nodes": node in dsession.sched.nodes,
                "collection": list(dsession.sched.collection) == SEEN["ids"],
                "has_pending": dsession.sched.has_pending,
            }


def pytest_handlecrashitem(crashitem, report, sched):
    SEEN["handlecrashitem"] = [crashitem, report.outcome, report.nodeid, hasattr(sched, "config")]


def pytest_testnodedown(node, error):
    note("testnodedown", node)
    name = "node when it has ended" if error is None else "node when it has died"
    if first(name):
        SEEN[name] = {**look(node, *NODE), "error": error is not None}
    if error is None and node.gateway.id in FIRST and "worker" not in SEEN:
        output = dict(node.workeroutput)
        SEEN["worker"] = output.pop("surface")
        SEEN["workeroutput"] = types(output)


# A plugin of some project wraps this method, and expects to be called.
_original = xdist.dsession.DSession.worker_workerfinished


def _wrapped(self, node):
    SEEN["wrapped"] = True
    return _original(self, node)


xdist.dsession.DSession.worker_workerfinished = _wrapped


def pytest_unconfigure(config):
    if is_controller(config) and CALLS:
        SEEN["plugins"] = {
            name: config.pluginmanager.hasplugin(name)
            for name in ("dsession", "terminaldistreporter", "xdist", "xdist.plugin")
        }
        reporter = config.pluginmanager.getplugin("terminaldistreporter")
        SEEN["terminaldistreporter"] = look(reporter, *REPORTER)
        SEEN["names"] = {name: surface_seen.name_of(name) for name in surface_seen.NAMES}
        begun = [hook for hook, _ in CALLS].index("make_scheduler") + 1
        SEEN["hooks before the loop"] = CALLS[:begun]
        SEEN["hooks of a worker"] = {
            name: [hook for hook, worker in CALLS[begun:] if worker == name] for name in FIRST
        }
        with open("surface.json", "w") as file:
            json.dump(SEEN, file, indent=1, sort_keys=True)


# ---- a worker ----

EARLY = {}


def pytest_addoption(parser):
    """While options are made, as plugins choose their defaults by what they find here."""
    EARLY["stdin"] = os.readlink("/proc/self/fd/0")
    EARLY["isatty"] = [os.isatty(0), os.isatty(1), sys.stdout.isatty()]
    EARLY["argv"] = sys.argv


def pytest_sessionfinish(session):
    config = session.config
    if is_controller(config):
        return
    manager = config.pluginmanager
    given = config.workerinput
    config.workeroutput["surface"] = {
        "early": EARLY,
        "main": __import__("__main__").__spec__ is None,
        "threads": [thread.name for thread in threading.enumerate()],
        "path": sorted(os.path.basename(p) for p in set(sys.path) ^ set(given["path"])),
        "options": look(
            config.option, "dist", "numprocesses", "tx", "looponfail", "usepdb", "maxprocesses"
        ),
        "basetemp": os.path.basename(config.option.basetemp) == f"popen-{given['workerid']}",
        "plugins": {
            name: manager.hasplugin(name)
            for name in ("dsession", "terminaldistreporter", "xdist", "terminalreporter")
        },
        "workerinput": types(given),
        "workerinput.surface": repr(given["surface"]),
        "environment": {
            "PYTEST_XDIST_WORKER": os.environ["PYTEST_XDIST_WORKER"] == given["workerid"],
            "PYTEST_XDIST_WORKER_COUNT": os.environ["PYTEST_XDIST_WORKER_COUNT"],
            "PYTEST_XDIST_TESTRUNUID": os.environ["PYTEST_XDIST_TESTRUNUID"] == given["testrunuid"],
            "SURFACE_NUMBER": "gw" + os.environ["SURFACE_NUMBER"] == given["workerid"],
        },
        "workeroutput": types(config.workeroutput),
    }
