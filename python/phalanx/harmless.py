"""Reads and resources before the fork that do no harm, by whom they are made.

Each entry stands for something that was read in that project's source. A wrong entry gives wrong results:
whoever is not sure leaves it out, and the suite forks a little earlier.
"""

from __future__ import annotations

from types import FrameType

from phalanx import frames

# Packages that read the worker's identity as a truth value or as a label that is repaired after the fork.
_HARMLESS_READERS = frozenset({"pytest_benchmark", "pytest_cov", "inline_snapshot"})

# Code that takes a resource for a moment, or whose resource is repaired after the fork: a package, or a
# module with one of its functions.
_HARMLESS_TAKERS: frozenset[str | tuple[str, str]] = frozenset(
    {
        "coverage",  # its data files know their process
        "pytest_cov",
        ("urllib3.util.connection", "_has_ipv6"),
        ("urllib3.util.ssl_", "_is_has_never_check_common_name_reliable"),
        ("matplotlib", "_get_config_or_cache_dir"),
        ("pytest_rerunfailures", "__init__"),  # its client's socket is opened again
    }
)

# Parts of the standard library that start a program or open a socket, and are done with it.
_SHORT_LIVED = frozenset({"ctypes.util", "platform", "uuid", "sysconfig", "_osx_support"})


def is_harmless_reader(frame: FrameType | None) -> bool:
    return frames.package_of(frame) in _HARMLESS_READERS


def is_short_lived(frame: FrameType) -> bool:
    return frames.module_of(frame) in _SHORT_LIVED


def is_harmless_taker(frame: FrameType) -> bool:
    module = frames.module_of(frame)
    return (
        module.partition(".")[0] in _HARMLESS_TAKERS
        or (module, frame.f_code.co_name) in _HARMLESS_TAKERS
    )
