"""Warnings across processes: enough of the object to show it and to filter it, nothing that is executed
but the warning's own class."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

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
