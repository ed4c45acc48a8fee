"""What a test needs beside itself: the set-ups of fixtures above function scope, as numbers.

The planner cuts the run where few of them are needed on both sides. Two tests that have a number in
common need the same set-up of the same fixture: the same definition, for the same class, module,
package or session, with the same parameter. What fixtures ask for with `request.getfixturevalue` is
not known before they run, and is left out: a need too few costs a set-up, never a result.
"""

from __future__ import annotations

from typing import Any

import pytest

# The node that a scope belongs to; the session's is the session.
_OWNERS: dict[str, Any] = {
    "class": pytest.Class,
    "module": pytest.Module,
    "package": pytest.Package,
}

# Fixture name, base of its definition, and the scope's own name; the class or module comes in for each test.
_Fixture = tuple[str, str, str]


class Needs:
    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._of_function: tuple[object, list[_Fixture]] = (None, [])

    def of(self, item: pytest.Item) -> list[int] | None:
        """The numbers of the set-ups that a test needs, or None if there are none."""
        info = getattr(item, "_fixtureinfo", None)
        if info is None:
            return None
        if info is not self._of_function[0]:  # all parameter sets of a function share it
            self._of_function = (info, _higher_scoped(info))
        fixtures = self._of_function[1]
        if not fixtures:
            return None
        parameters = getattr(getattr(item, "callspec", None), "indices", {})
        return [self._number(item, fixture, parameters) for fixture in fixtures]

    def _number(self, item: pytest.Item, fixture: _Fixture, parameters: dict[str, int]) -> int:
        name, base, scope = fixture
        owner = _OWNERS.get(scope)
        node = item.getparent(owner) if owner else None
        if node is None and scope == "class":  # a class-scoped fixture outside of a class
            node = item.getparent(pytest.Module)
        key = (name, base, node and node.nodeid, parameters.get(name))
        return self._numbers.setdefault(key, len(self._numbers))


def _higher_scoped(info: Any) -> list[_Fixture]:
    found = []
    for name in info.names_closure:
        definitions = info.name2fixturedefs.get(name)
        if definitions and definitions[-1].scope != "function":
            found.append((name, definitions[-1].baseid, definitions[-1].scope))
    return found
