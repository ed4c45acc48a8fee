"""Random generators that are there when workers are forked.

Two kinds must be told apart. What somebody seeded stays as it is in every worker, as it would be in processes
of their own. What took its seed from the operating system gets another one in each worker: names that a
Faker draws for a database would collide otherwise. Python does the latter for the module's own generator, in
every child, and so spoils it if it was seeded.
"""

from __future__ import annotations

import contextlib
import gc
import random
import sys
import weakref
from types import ModuleType
from typing import Any


class Generators:
    """Who seeded what, from the zygote's start to the fork."""

    def __init__(self) -> None:
        self._unseeded: dict[int, weakref.ref[random.Random]] = {}
        self._is_global_seeded = False
        self._global_state: Any = None
        self._is_released = False
        self._seed: Any = random.Random.seed
        self._setstate: Any = random.Random.setstate
        self._drawn: set[int] = set()  # what numpy got from the operating system
        self._of_numpy: list[Any] = []
        self._watch_python()

    # ---- in the zygote ----

    def _watch_python(self) -> None:
        def seed(generator: Any, *args: Any, **kwargs: Any) -> None:
            # seed() and seed(None) ask for the operating system's randomness: not a choice to keep.
            self._note(generator, any(arg is not None for arg in [*args[:1], kwargs.get("a")]))
            self._seed(generator, *args, **kwargs)

        def setstate(generator: Any, state: Any) -> None:
            self._note(generator, True)
            self._setstate(generator, state)

        self._replace(seed, setstate)

    def _replace(self, seed: Any, setstate: Any) -> None:
        random.Random.seed = seed  # type: ignore[method-assign]
        random.Random.setstate = setstate  # type: ignore[method-assign]
        own: Any = random._inst
        random.seed, random.setstate = own.seed, own.setstate

    def _note(self, generator: Any, is_seeded: bool) -> None:
        if self._is_released:
            return  # somebody has kept the trap itself
        if generator is random._inst:
            self._is_global_seeded = is_seeded
        elif is_seeded:
            self._unseeded.pop(id(generator), None)
        else:
            self._unseeded[id(generator)] = weakref.ref(generator)

    def watch_numpy(self, module: ModuleType) -> None:
        """After the import of numpy.random.bit_generator: a seed that nobody has given is drawn by its
        `randbits`."""
        draw = module.randbits

        def randbits(count: int) -> int:
            value: int = draw(count)
            self._drawn.add(value)
            return value

        module.randbits = randbits  # type: ignore[attr-defined]

    def settle(self) -> None:
        """Once, before the first fork, while the collector still lists everything."""
        self._global_state = random.getstate() if self._is_global_seeded else None
        module: Any = sys.modules.get("numpy.random.bit_generator")
        if module is not None and self._drawn:
            with contextlib.suppress(Exception):
                self._of_numpy = self._find_of_numpy(module)

    def _find_of_numpy(self, module: Any) -> list[Any]:
        things = gc.get_objects()
        kinds = {kind for kind in set(map(type, things)) if issubclass(kind, module.BitGenerator)}
        return [thing for thing in things if type(thing) in kinds and self._is_drawn(thing)]

    def _is_drawn(self, generator: Any) -> bool:
        sequence = getattr(generator, "seed_seq", None) or getattr(generator, "_seed_seq", None)
        return getattr(sequence, "entropy", None) in self._drawn

    # ---- in a worker, and in a zygote that becomes one ----

    def release(self) -> None:
        self._is_released = True
        self._replace(self._seed, self._setstate)

    def repair(self) -> None:
        if self._global_state is not None:
            random.setstate(self._global_state)
        for reference in self._unseeded.values():
            generator = reference()
            if generator is not None:
                self._seed(generator)
        for generator in self._of_numpy:
            with contextlib.suppress(Exception):  # whatever a later version of numpy makes of it
                generator.state = type(generator)().state
