"""What something has set up before the workers are forked: a plugin that asks for a fixture while it
collects, say. Every worker would inherit the value and tear it down; so such a process is not forked. It
becomes a worker itself, with what it has, and the others set up what they need for themselves."""

from __future__ import annotations

from typing import Any

from phalanx import frames


class EarlySetups:
    """In the zygote, until it forks."""

    def __init__(self) -> None:
        self._session: Any = None  # from its start on
        self._definitions: list[Any] = []  # of fixtures whose set-up has begun

    def session_started(self, session: Any) -> None:
        self._session = session

    def fixture_begins(self, definition: Any) -> None:
        self._definitions.append(definition)

    def find(self) -> str | None:
        """What was set up and is not torn down, for a person; None when there is nothing."""
        for definition in self._definitions:
            if definition.cached_result is not None:
                return f"something set up the fixture {_described(definition)} before any test"
        state = getattr(self._session, "_setupstate", None)  # pytest may not have made it yet
        for collector in reversed(state.stack if state else {}):
            return f"something set up {collector.nodeid or 'the session'} before any test"
        return None


def _described(definition: Any) -> str:
    code = getattr(definition.func, "__code__", None)
    if code is None:
        return repr(definition.argname)
    where = f"{frames.relative_path(code.co_filename)}:{code.co_firstlineno}"
    return f"{definition.argname!r} ({where})"
