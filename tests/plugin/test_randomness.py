"""Who seeded a generator, with a stand-in for numpy's; tests/e2e/test_taken_before_the_fork.py has whole runs,
and `make compat` numpy itself, Faker and factory_boy."""

from __future__ import annotations

import itertools
import random
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from phalanx.randomness import Generators


@pytest.fixture
def generators() -> Iterator[Generators]:
    found = Generators()
    yield found
    found.release()


class Sequence:
    def __init__(self, entropy: int) -> None:
        self.entropy = entropy


class BitGenerator:
    """As numpy's: `seed_seq` says what it was seeded with; each new one has a state of its own."""

    states = itertools.count()

    def __init__(self, seed: int | None = None) -> None:
        module: Any = sys.modules["numpy.random.bit_generator"]
        self.seed_seq = Sequence(module.randbits(128) if seed is None else seed)
        self.state = next(self.states)


class PCG64(BitGenerator):
    pass


@pytest.fixture
def numpy(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module: Any = types.ModuleType("numpy.random.bit_generator")
    module.randbits = random.SystemRandom().getrandbits
    module.BitGenerator = BitGenerator
    monkeypatch.setitem(sys.modules, "numpy.random.bit_generator", module)
    return module


def test_generators_of_numpy(generators: Generators, numpy: types.ModuleType) -> None:
    generators.watch_numpy(numpy)
    drawn, seeded = PCG64(), PCG64(42)
    before = drawn.state, seeded.state
    generators.settle()
    generators.repair()
    assert drawn.state != before[0] and seeded.state == before[1]


def test_of_a_version_that_is_unknown(generators: Generators, numpy: types.ModuleType) -> None:
    generators.watch_numpy(numpy)
    drawn = PCG64()
    drawn.seed_seq = None  # type: ignore[assignment]
    before = drawn.state
    generators.settle()
    generators.repair()
    assert drawn.state == before


@pytest.mark.parametrize(
    ("seeding", "is_kept"),
    [
        (lambda own: None, False),
        (lambda own: own.seed(42), True),
        (lambda own: own.seed(a=42), True),
        (lambda own: own.setstate(random.Random(1).getstate()), True),
        (lambda own: (own.seed(42), own.seed()), False),
        (lambda own: (own.seed(42), own.seed(None)), False),
    ],
)
def test_generators_of_python(generators: Generators, seeding: Any, is_kept: bool) -> None:
    own = random.Random()
    seeding(own)
    before = own.getstate()
    generators.settle()
    generators.repair()
    assert (own.getstate() == before) == is_kept


def test_the_traps_are_gone(generators: Generators) -> None:
    generators.release()
    assert random.Random.seed.__module__ == "random"
    assert random.seed.__self__ is random._inst  # type: ignore[attr-defined]
