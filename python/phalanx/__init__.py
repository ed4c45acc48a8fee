"""phalanx runs a pytest suite on every core: the drop-in replacement for pytest-xdist.

The zygote imports this package before pytest could rewrite its assertions: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

from typing import Any, Callable, TypeVar, overload

__version__ = "0.1.0"

_F = TypeVar("_F", bound=Callable[..., Any])


@overload
def shared_fixture(function: _F) -> _F: ...
@overload
def shared_fixture(*, name: str | None = None, autouse: bool = False) -> Callable[[_F], _F]: ...
def shared_fixture(
    function: Any = None, *, name: str | None = None, autouse: bool = False, **others: Any
) -> Any:
    """A fixture that is set up once for the whole run, before the workers are forked, and torn down once
    after the last of them has ended. Workers inherit its value. Without workers it is an ordinary session
    fixture. See docs/shared-fixtures.md."""
    from phalanx.shared import mark, refuse

    if others:
        refuse(", ".join(f"{key}={value!r}" for key, value in others.items()))
    if function is not None:
        return mark(function, None, False)
    return lambda function: mark(function, name, autouse)
