"""--dist each: workers that collect for themselves may find different tests. The run is of all of them, and a
scheduler numbers those of a node as that node found them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def join(all_ids: list[str], ids: Sequence[str]) -> list[int]:
    """Appends what is missing, as the engine does (sched/match.h); where each of `ids` is then. Tests are the
    same by node id and occurrence."""
    places: dict[tuple[str, int], int] = {}
    occurrences: Counter[str] = Counter()
    for place, nodeid in enumerate(all_ids):
        places[nodeid, occurrences[nodeid]] = place
        occurrences[nodeid] += 1
    found = []
    occurrences.clear()
    for nodeid in ids:
        key = (nodeid, occurrences[nodeid])
        occurrences[nodeid] += 1
        if key not in places:
            places[key] = len(all_ids)
            all_ids.append(nodeid)
        found.append(places[key])
    return found


class Numbering:
    """Of each node: its own numbers of tests, and those of the run. A node that is not here has the run's."""

    def __init__(self) -> None:
        self._run: dict[int, list[int]] = {}
        self._own: dict[int, dict[int, int]] = {}

    def add(self, node: int, tests: list[int]) -> None:
        self._run[node] = tests
        self._own[node] = {test: own for own, test in enumerate(tests)}

    def inherit(self, node: int, before: int) -> None:
        """A node has the tests of the one that it replaces."""
        if before in self._run:
            self.add(node, self._run[before])

    def tests(self, node: int, count: int) -> Sequence[int]:
        """All of a node, in its own order, in a run of so many tests."""
        return self._run.get(node, range(count))

    def of_run(self, node: int, indices: Sequence[int]) -> list[int]:
        numbers = self._run.get(node)
        return list(indices) if numbers is None else [numbers[index] for index in indices]

    def of_node(self, node: int, tests: Sequence[int]) -> list[int]:
        numbers = self._own.get(node)
        return list(tests) if numbers is None else [numbers[test] for test in tests]
