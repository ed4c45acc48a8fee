"""phalanx in the place of the distribution pytest-xdist, where code asks which version of it is installed.

phalanx brings the package `xdist`, and nothing that pip could take for pytest-xdist: a second set of
metadata inside of phalanx's own would be one that pip can neither upgrade nor remove. So the answer is given
where the question is asked, in the processes that run pytest: `importlib.metadata` finds pytest-xdist
there (plugins compare its version; some stay silently idle without it), and pytest's `required_plugins` does.
The version tells whose it is: 3.8.0+phalanx. A real pytest-xdist is found before it.

For pip there is the companion: a distribution of its own that holds metadata only, requires phalanx, and
satisfies packages that require pytest-xdist. `python -m phalanx.companion` makes its wheel.
"""

from __future__ import annotations

import atexit
import email.message
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterable
from typing import Any

from phalanx import __version__

NAME = "pytest-xdist"
# The version whose interface phalanx has, marked as not being the real one (PEP 440: a local version).
INTERFACE = "3.8.0"
VERSION = f"{INTERFACE}+phalanx"


def metadata_text() -> str:
    return (
        "Metadata-Version: 2.1\n"
        f"Name: {NAME}\n"
        f"Version: {VERSION}\n"
        f"Summary: phalanx {__version__} in the place of pytest-xdist\n"
        "Requires-Dist: phalanx\n"
        "Provides-Extra: psutil\n"  # cores are counted without it
        "Provides-Extra: setproctitle\n"
        "Requires-Dist: phalanx[setproctitle]; extra == 'setproctitle'\n"
    )


class StandIn(importlib.metadata.Distribution):
    def read_text(self, filename: str) -> str | None:
        return metadata_text() if filename in ("METADATA", "PKG-INFO") else None

    def locate_file(self, path: Any) -> Any:
        return os.path.join(os.path.dirname(os.path.dirname(__file__)), os.fspath(path))


class Finder:
    """Last on sys.meta_path: asked for what nobody else has found. It finds no modules."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """A hint with the error that is due, for an import; not for who only asks whether it is there."""
        if name == "execnet" and sys._getframe(2).f_globals.get("__name__") != "importlib.util":
            raise ModuleNotFoundError(
                "No module named 'execnet' (it came with pytest-xdist; "
                "phalanx does not bring execnet: pip install execnet)",
                name=name,
            )

    @staticmethod
    def find_distributions(context: Any = None) -> Iterable[importlib.metadata.Distribution]:
        """Only for who asks by name: a list of all distributions is of what is installed."""
        name = getattr(context, "name", None)
        if name is not None and _normalized(name) == NAME:
            yield StandIn()


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def install() -> None:
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
        atexit.register(remove)


def remove() -> None:
    """Before the interpreter takes itself down: this module's loader is pytest's, which holds the config and
    all that plugins keep there; files among that would never be written to their end."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]


def is_stand_in(distribution: importlib.metadata.Distribution) -> bool:
    """Of phalanx: found by this module, or the companion."""
    return distribution.version.partition("+")[2] == "phalanx"


class _Facade:
    """A distribution as pluggy's list of plugins holds it."""

    project_name = NAME
    version = VERSION

    @property
    def metadata(self) -> email.message.Message:
        return email.message_from_string(metadata_text())


def list_among_plugins(pluginmanager: Any, plugin: object) -> None:
    """For pytest's `required_plugins`, which compares with the distributions of loaded plugins; its header
    shows them too: `plugins: phalanx-0.1.0, xdist-3.8.0+phalanx`."""
    known = getattr(pluginmanager, "_plugin_distinfo", None)  # pluggy has no other way in
    if isinstance(known, list) and all(
        _normalized(dist.project_name) != NAME for _, dist in pluginmanager.list_plugin_distinfo()
    ):
        known.append((plugin, _Facade()))
