"""How what is seen of pytest-xdist's objects is written down: by names and types, and by values where two runs
have the same. `unknown` stands for an attribute that is not there."""

import importlib
import inspect

PLAIN = (bool, int, str, type(None))


def look(owner, *names):
    """Each attribute with its type, or its value if it is a plain one."""
    return {name: _describe(getattr(owner, name, "unknown")) for name in names}


def types(mapping):
    return {key: type(value).__name__ for key, value in sorted(mapping.items())}


def _describe(value):
    if isinstance(value, PLAIN):
        return value
    if inspect.isroutine(value):
        return list(inspect.signature(value).parameters)
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return type(value).__name__
    return "an object"


def name_of(dotted):
    """What somebody gets who imports this."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            found = getattr(found, part, "unknown")
        return "class" if inspect.isclass(found) else _kind(found)
    return "unknown"


def _kind(found):
    if isinstance(found, PLAIN):
        return found
    return "module" if inspect.ismodule(found) else "object"


# Every name that public code was seen to import.
NAMES = [
    "xdist.__version__",
    "xdist.get_xdist_worker_id",
    "xdist.is_xdist_controller",
    "xdist.is_xdist_master",
    "xdist.is_xdist_worker",
    "xdist.dsession.DSession",
    "xdist.dsession.EachScheduling",
    "xdist.dsession.LoadFileScheduling",
    "xdist.dsession.LoadGroupScheduling",
    "xdist.dsession.LoadScheduling",
    "xdist.dsession.LoadScopeScheduling",
    "xdist.dsession.TerminalDistReporter",
    "xdist.dsession.WorkStealingScheduling",
    "xdist.dsession.WorkerStatus",
    "xdist.dsession.get_default_max_worker_restart",
    "xdist.dsession.get_workers_status_line",
    "xdist.looponfail",
    "xdist.newhooks.pytest_configure_node",
    "xdist.newhooks.pytest_handlecrashitem",
    "xdist.newhooks.pytest_testnodedown",
    "xdist.newhooks.pytest_testnodeready",
    "xdist.newhooks.pytest_xdist_auto_num_workers",
    "xdist.newhooks.pytest_xdist_getremotemodule",
    "xdist.newhooks.pytest_xdist_make_scheduler",
    "xdist.newhooks.pytest_xdist_newgateway",
    "xdist.newhooks.pytest_xdist_node_collection_finished",
    "xdist.newhooks.pytest_xdist_rsyncfinish",
    "xdist.newhooks.pytest_xdist_rsyncstart",
    "xdist.newhooks.pytest_xdist_setupnodes",
    "xdist.plugin.get_xdist_worker_id",
    "xdist.plugin.is_xdist_controller",
    "xdist.plugin.is_xdist_master",
    "xdist.plugin.is_xdist_worker",
    "xdist.plugin.parse_numprocesses",
    "xdist.plugin.pytest_addhooks",
    "xdist.plugin.pytest_addoption",
    "xdist.plugin.pytest_cmdline_main",
    "xdist.plugin.pytest_configure",
    "xdist.plugin.pytest_xdist_auto_num_workers",
    "xdist.plugin.testrun_uid",
    "xdist.plugin.worker_id",
    "xdist.remote.Producer",
    "xdist.remote.WorkerInfo",
    "xdist.remote.WorkerInteractor",
    "xdist.remote.serialize_warning_message",
    "xdist.report.report_collection_diff",
    "xdist.scheduler.EachScheduling",
    "xdist.scheduler.LoadFileScheduling",
    "xdist.scheduler.LoadGroupScheduling",
    "xdist.scheduler.LoadScheduling",
    "xdist.scheduler.LoadScopeScheduling",
    "xdist.scheduler.Scheduling",
    "xdist.scheduler.WorkStealingScheduling",
    "xdist.scheduler.each.EachScheduling",
    "xdist.scheduler.load.LoadScheduling",
    "xdist.scheduler.loadfile.LoadFileScheduling",
    "xdist.scheduler.loadgroup.LoadGroupScheduling",
    "xdist.scheduler.loadscope.LoadScopeScheduling",
    "xdist.scheduler.protocol.Scheduling",
    "xdist.scheduler.worksteal.WorkStealingScheduling",
    "xdist.workermanage.NodeManager",
    "xdist.workermanage.WorkerController",
    "xdist.workermanage.parse_tx_spec_config",
    "xdist.workermanage.unserialize_warning_message",
]
