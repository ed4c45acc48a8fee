"""Reports and warnings across processes.

Reports go through pytest's own hooks, unless nobody but pytest implements them and the report has nothing
to take apart: most tests pass, and then its attributes are all there is. Of warnings, enough crosses to
show and to filter them; nothing is executed but the warning's own class.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import pytest

# The attributes of a WarningMessage beside message and category; they differ between Python versions.
_DETAILS: tuple[str, ...] = tuple(
    name
    for name in warnings.WarningMessage._WARNING_DETAILS  # type: ignore[attr-defined]
    if name not in ("message", "category")
)


def warning_to_data(warning: warnings.WarningMessage) -> dict[str, Any]:
    message = warning.message
    data: dict[str, Any] = {name: getattr(warning, name) for name in _DETAILS}
    # The line source and the source object cannot cross, and are not shown.
    data["source"] = None
    data["message_str"] = str(message)
    if isinstance(message, Warning):
        data["message_module"] = type(message).__module__
        data["message_class_name"] = type(message).__name__
        data["message_args"] = message.args
    category = warning.category
    data["category_module"] = category.__module__ if category else None
    data["category_class_name"] = category.__name__ if category else None
    return data


ReportWriter = Callable[[pytest.Config, pytest.TestReport], "dict[str, Any]"]
ReportReader = Callable[[pytest.Config, "dict[str, Any]"], Any]


def _is_only_pytests(hook: Any) -> bool:
    return all(impl.function.__module__ == "_pytest.reports" for impl in hook.get_hookimpls())


def _write_by_hook(config: pytest.Config, report: pytest.TestReport) -> dict[str, Any]:
    data: dict[str, Any] = config.hook.pytest_report_to_serializable(config=config, report=report)
    return data


def _write_plain(config: pytest.Config, report: pytest.TestReport) -> dict[str, Any]:
    if type(report) is not pytest.TestReport or report.longrepr is not None:
        return _write_by_hook(config, report)
    data = report.__dict__.copy()
    data["$report_type"] = "TestReport"
    return data


def report_writer(config: pytest.Config) -> ReportWriter:
    """How this worker turns a report into data; asked once, when all plugins are there."""
    plain = _is_only_pytests(config.hook.pytest_report_to_serializable)
    return _write_plain if plain else _write_by_hook


def _read_by_hook(config: pytest.Config, data: dict[str, Any]) -> Any:
    return config.hook.pytest_report_from_serializable(config=config, data=data)


def _read_plain(config: pytest.Config, data: dict[str, Any]) -> Any:
    if data["longrepr"] is not None or data["$report_type"] != "TestReport":
        return _read_by_hook(config, data)
    del data["$report_type"]
    return pytest.TestReport(**data)


def report_reader(config: pytest.Config) -> ReportReader:
    """How the controller turns data into a report."""
    plain = _is_only_pytests(config.hook.pytest_report_from_serializable)
    return _read_plain if plain else _read_by_hook


def _load(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return None


def _message(data: dict[str, Any]) -> Warning | str:
    text: str = data["message_str"]
    module, name = data.get("message_module"), data.get("message_class_name")
    if module is None or name is None:
        return text
    cls = _load(module, name)
    if isinstance(cls, type) and issubclass(cls, Warning):
        try:
            return cls(*data["message_args"])
        except Exception:
            pass  # a constructor that wants more than its args: the text is what matters
    return Warning(f"{module}.{name}: {text}")


def warning_from_data(data: dict[str, Any]) -> warnings.WarningMessage:
    category = None
    if data["category_module"]:
        category = _load(data["category_module"], data["category_class_name"]) or Warning
    kwargs = {name: data.get(name) for name in _DETAILS}
    return warnings.WarningMessage(
        message=_message(data), category=category, **kwargs  # type: ignore[arg-type]
    )
