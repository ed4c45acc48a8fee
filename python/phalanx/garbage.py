"""The garbage collector, while this process makes objects that it will keep: every full collection walks
them all and finds nothing. Collecting tests and keeping reports are such times."""

from __future__ import annotations

import gc

_RARE = (100_000, 50, 1_000)


class RareCollections:
    """Raises the thresholds, unless somebody has chosen others."""

    def __init__(self, default: tuple[int, int, int]) -> None:
        self._default = default  # those of a fresh interpreter

    def begin(self) -> None:
        if gc.isenabled() and gc.get_threshold() == self._default:
            gc.set_threshold(*_RARE)

    def end(self) -> None:
        if gc.get_threshold() == _RARE:
            gc.set_threshold(*self._default)
