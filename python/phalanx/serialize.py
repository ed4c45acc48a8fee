"""Reports and warnings across processes.

Reports go through pytest's serialisation hooks, unless nobody but pytest implements them: then its own
answer is asked for directly, as there are three reports a test. Of warnings, enough crosses to
show and to filter them; nothing is executed but the warning's own class.
"""

from __future__ import annotations

import builtins
import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

try:
    from _pytest.nodeid import NodeId  # type: ignore[import-not-found, unused-ignore]

    # Each test sends several reports; they share the object, as in a sequential run.
    _parse_node_id: Any = functools.lru_cache(maxsize=1024)(NodeId.parse)
except ImportError:  # before pytest 9.2 a node id is a str
    _parse_node_id = None

try:
    from _pytest.subtests import (  # type: ignore[import-not-found, unused-ignore]
        failed_subtests_key,
    )
except ImportError:  # before pytest 9
    failed_subtests_key = None

# The attributes of a WarningMessage beside message and category; they differ between Python versions.
_DETAILS: tuple[str, ...] = tuple(
    name
    for name in warnings.WarningMessage._WARNING_DETAILS  # type: ignore[attr-defined]
    if name not in ("message", "category")
)


def _class_to_data(cls: type[Warning] | None) -> list[str] | None:
    """Where a warning class is found, and the nearest ancestor that every process has."""
    if cls is None:
        return None
    ancestor = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    return [cls.__module__, cls.__name__, ancestor.__name__]


def _class_from_data(data: list[str] | None) -> type[Warning] | None:
    """The class itself if its module happens to be loaded here, else one of the same name: the controller
    imports no module of the suite for the sake of a warning."""
    if data is None:
        return None
    module, name, ancestor = data
    found = getattr(sys.modules.get(module), name, None)
    if isinstance(found, type) and issubclass(found, Warning):
        return found
    base = getattr(builtins, ancestor, Warning)
    if not (isinstance(base, type) and issubclass(base, Warning)):
        base = Warning
    return type(name, (base,), {"__module__": module})


def warning_to_data(warning: warnings.WarningMessage) -> dict[str, Any]:
    message = warning.message
    data: dict[str, Any] = {name: getattr(warning, name) for name in _DETAILS}
    data["source"] = None  # an object of the worker
    data["text"] = str(message)
    data["category"] = _class_to_data(warning.category)
    data["class"] = _class_to_data(type(message)) if isinstance(message, Warning) else None
    return data


def warning_from_data(data: dict[str, Any]) -> warnings.WarningMessage:
    text: str = data["text"]
    message: Warning | str = text
    cls = _class_from_data(data["class"])
    if cls is not None:
        # Not by its constructor, which may want anything: a warning is shown by its text.
        names = {"__module__": cls.__module__, "__str__": lambda _: text}
        shown: type[Warning] = type(cls.__name__, (cls,), names)
        warning = shown.__new__(shown)
        warning.args = (text,)
        message = warning
    kwargs = {name: data.get(name) for name in _DETAILS}
    category = _class_from_data(data["category"])
    return warnings.WarningMessage(message=message, category=category, **kwargs)  # type: ignore


ReportWriter = Callable[[pytest.Config, pytest.TestReport], "dict[str, Any]"]
ReportReader = Callable[[pytest.Config, "dict[str, Any]"], Any]


# Who implements the serialisation hooks and leaves plain test reports to pytest.
_LEAVES_PLAIN_REPORTS = frozenset({"_pytest.reports", "_pytest.subtests"})


def _is_only_pytests(hook: Any) -> bool:
    return all(impl.function.__module__ in _LEAVES_PLAIN_REPORTS for impl in hook.get_hookimpls())


def _write_by_hook(config: pytest.Config, report: pytest.TestReport) -> dict[str, Any]:
    data: dict[str, Any] = config.hook.pytest_report_to_serializable(config=config, report=report)
    return data


# What pytest's own TestReport._to_json leaves as it is.
_AS_IT_IS = frozenset({type(None), bool, int, float, str, tuple, list, dict})


def _write_plain(config: pytest.Config, report: pytest.TestReport) -> dict[str, Any]:
    if type(report) is not pytest.TestReport:
        return _write_by_hook(config, report)
    data = _shallow_copy(report) or report._to_json()
    data["$report_type"] = "TestReport"
    return data


def _shallow_copy(report: pytest.TestReport) -> dict[str, Any] | None:
    """What _to_json makes of a report without anything to convert: of nearly all."""
    data = report.__dict__.copy()
    node_id = data.pop("_id", None)  # pytest 9.2
    if node_id is not None:
        data["nodeid"] = str(node_id)
    if "result" in data or not _AS_IT_IS.issuperset(map(type, data.values())):
        return None
    return data


# What a test printed may be larger than what a message can hold (256 MiB): the outcome matters more.
OUTPUT_MAX = 64 << 20  # bytes of all sections of a report


def cut_output(sections: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The sections, the large ones without their middle if all together are too large."""
    if sum(len(text) for _, text in sections) <= OUTPUT_MAX // 4:  # UTF-8 has four bytes at most
        return sections
    sizes = [len(text.encode(errors="surrogatepass")) for _, text in sections]
    if sum(sizes) <= OUTPUT_MAX:
        return sections
    share = OUTPUT_MAX // len(sections)
    return [
        (name, _without_middle(text, share * len(text) // size) if size > share else text)
        for (name, text), size in zip(sections, sizes)
    ]


def _without_middle(text: str, length: int) -> str:
    half = length // 2
    line = f"\n[phalanx: {len(text) - 2 * half} characters of this output are left out here]\n"
    return text[:half] + line + text[-half:]


def report_writer(config: pytest.Config) -> ReportWriter:
    """How this worker turns a report into data; asked once, when all plugins are there."""
    plain = _is_only_pytests(config.hook.pytest_report_to_serializable)
    return _write_plain if plain else _write_by_hook


# Implementations of pytest_report_teststatus that only read the report.
_ONLY_READ_STATUS = frozenset({"_pytest.terminal", "_pytest.runner", "_pytest.skipping"})


def outcome_settler(config: pytest.Config) -> Callable[[pytest.Config, pytest.TestReport], None]:
    """Some implementations of pytest_report_teststatus change the report (pytest's own subtests do): in a
    sequential run the terminal reporter calls them, in a worker this does, before the report leaves."""
    hook = config.hook.pytest_report_teststatus
    modules = {impl.function.__module__ for impl in hook.get_hookimpls()} - _ONLY_READ_STATUS

    def nothing(config: pytest.Config, report: pytest.TestReport) -> None:
        pass

    def calls(config: pytest.Config, report: pytest.TestReport) -> None:
        if report.when == "call" and config.stash[failed_subtests_key]:
            config.hook.pytest_report_teststatus(report=report, config=config)

    def all_phases(config: pytest.Config, report: pytest.TestReport) -> None:
        config.hook.pytest_report_teststatus(report=report, config=config)

    if not modules:
        return nothing
    return calls if modules == {"_pytest.subtests"} else all_phases


def _read_by_hook(config: pytest.Config, data: dict[str, Any]) -> Any:
    return config.hook.pytest_report_from_serializable(config=config, data=data)


_new_report = pytest.TestReport.__new__


def _read_plain(config: pytest.Config, data: dict[str, Any]) -> Any:
    if data.get("$report_type") != "TestReport":
        return _read_by_hook(config, data)
    del data["$report_type"]
    if data["longrepr"] is None and type(data["sections"]) is type(data["user_properties"]) is list:
        # What its constructor would make of them, without a copy of each attribute.
        if _parse_node_id is not None:
            data["_id"] = _parse_node_id(data.pop("nodeid"))
        report = _new_report(pytest.TestReport)
        report.__dict__ = data
        return report
    if _parse_node_id is not None:
        data["nodeid"] = _parse_node_id(data["nodeid"])
    return pytest.TestReport._from_json(data)


def report_reader(config: pytest.Config) -> ReportReader:
    """How the controller turns data into a report."""
    plain = _is_only_pytests(config.hook.pytest_report_from_serializable)
    return _read_plain if plain else _read_by_hook
