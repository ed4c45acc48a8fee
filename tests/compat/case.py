"""What one row of the plugin matrix is made of: `case.py` beside each suite below this folder has a CASE.

A case runs its suite without workers, with pytest-xdist and with phalanx in several modes, and all that
can be told of these runs must be equal: see scripts/compat.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner import Run

    Output = Callable[["Run", Path], dict[str, Any]]


def no_output(run: Run, folder: Path) -> dict[str, Any]:
    return {}


@dataclasses.dataclass
class Case:
    plugin: str  # the distribution's name
    exercises: str  # for the table: what the suite makes use of
    load: list[str]  # entry points of pytest11, for -p: no other plugin is active
    steps: list[list[str]] = dataclasses.field(default_factory=lambda: [[]])
    """Arguments of pytest, a list for each run; the runs follow one another in one folder."""
    output: Output = no_output
    """What the plugin itself wrote in a run, by name, in a form that can be compared; the second argument
    is the suite's folder."""
    requires: list[str] = dataclasses.field(default_factory=list)  # further distributions
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    autoload: bool = False  # every installed plugin is active
    reference: str = "sequential"
    """The run that phalanx must equal. "pytest-xdist" where the suite means nothing without workers."""
    same_dist: bool = True  # pytest-xdist with the --dist of the run; else with load
    known: dict[str, str] = dataclasses.field(default_factory=dict)
    """Differences that are not mended, by name of what differs, with their cause."""
    parts: str = "forked after collection"
    """Where the workers part, as the run tells it, unless interpreters are asked for: the beginning, as a pattern."""
    files_of: str = ""  # another case: its files are this suite's too, below those of its own
    programs: list[str] = dataclasses.field(default_factory=list)  # skipped unless they are in PATH
