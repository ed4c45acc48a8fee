"""What several workers tell of their collections, told once.

Workers that collect for themselves say the same things: a module that cannot be imported, a warning of its
import. What the first of them says is shown; what another one says as often as somebody before is not.
"""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Hashable

ZYGOTE = -1


class Once:
    """Counts who said what how often."""

    def __init__(self) -> None:
        self._said: dict[int, Counter[Hashable]] = defaultdict(Counter)
        self._shown: Counter[Hashable] = Counter()

    def begin(self, number: int, zygote: int = ZYGOTE) -> None:
        """This worker goes on where the zygote stands: what the zygote said it will not say again."""
        self._said[number] = Counter(self._said[zygote])

    def is_new(self, number: int, *key: Hashable) -> bool:
        self._said[number][key] += 1
        if self._said[number][key] <= self._shown[key]:
            return False
        self._shown[key] += 1
        return True


def describe_difference(
    from_name: str, from_ids: list[str], to_name: str, to_ids: list[str], cause: str
) -> str:
    """pytest-xdist's words, then ours: why the workers collected for themselves, and the way out."""
    diff = difflib.unified_diff(from_ids, to_ids, fromfile=from_name, tofile=to_name, lineterm="")
    return (
        f"Different tests were collected between {from_name} and {to_name}. The difference is:\n"
        + "\n".join(diff)
        + f"\n\nEach worker collected for itself, as the run was {cause}. Make the collection the same in "
        "every process (sort sets, fix seeds), or let the workers be forked after it: docs/fork-point.md"
    )
