"""Reads and resources before the fork that do no harm, by whom they are made.

Each entry stands for something that was read in that project's source. A wrong entry gives wrong results:
whoever is not sure leaves it out, and the suite forks a little earlier.
"""

from __future__ import annotations

from types import FrameType
from typing import Union

from phalanx import frames

Known = frozenset[Union[str, tuple[str, str]]]  # a package, or a module with one of its functions

# Code that reads the worker's identity as a truth value or as a label that is repaired after the fork.
_HARMLESS_READERS: Known = frozenset(
    {"pytest_benchmark", "pytest_cov", "inline_snapshot", ("syrupy.utils", "is_xdist_worker")}
)

# Code that takes a resource for a moment, or whose resource is repaired after the fork.
_HARMLESS_TAKERS: Known = frozenset(
    {
        "coverage",  # its data files know their process
        "pytest_cov",
        ("urllib3.util.connection", "_has_ipv6"),
        ("matplotlib", "_get_config_or_cache_dir"),
        ("pytest_benchmark.utils", "get_project_name_git"),  # they ask git, and wait for it
        ("pytest_benchmark.utils", "get_project_name_hg"),
        ("pytest_benchmark.utils", "subprocess_output"),
        ("pytest_rerunfailures", "__init__"),  # its client's socket is opened again
        ("inline_snapshot._global_state", "<lambda>"),  # a directory: each worker makes another one
        ("django.db.backends.sqlite3.base", "get_new_connection"),  # closed before the fork
    }
)

# Parts of the standard library that start a program or open a socket, and are done with it.
_SHORT_LIVED = frozenset({"ctypes.util", "platform", "uuid", "sysconfig", "_osx_support"})


def is_harmless_reader(frame: FrameType | None) -> bool:
    return frame is not None and _is_among(frame, _HARMLESS_READERS)


def is_short_lived(frame: FrameType) -> bool:
    return frames.module_of(frame) in _SHORT_LIVED


def is_harmless_taker(frame: FrameType) -> bool:
    return _is_among(frame, _HARMLESS_TAKERS)


def _is_among(frame: FrameType, known: Known) -> bool:
    module = frames.module_of(frame)
    return module.partition(".")[0] in known or (module, frame.f_code.co_name) in known
