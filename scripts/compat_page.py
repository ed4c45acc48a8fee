"""docs/compatibility.md, from what scripts/compat.py saw."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "compatibility.md"

HEAD = """\
# Plugins

What the plugins that people have do with phalanx. `make compat` writes this page: nothing is typed in by
hand. Each suite below `tests/compat/` makes use of what its plugin does with workers. It runs without
workers, with pytest-xdist and with phalanx, on three workers, in each `--dist` that the table names, and
these are compared: node ids with their outcomes, the counts of the last line, the cases of `--junitxml`,
the exit code, and what the plugin itself wrote (coverage, reports, snapshots, …).

**same**: as the run without workers (as pytest-xdist, where a suite means nothing without workers).
**differs**: in a way that is told below, with its cause. **-**: was not run, with the reason below.
"""

TAIL = """
## What is not there

The suite `surface` walks what conftest files and plugins were seen to use of pytest-xdist's objects. Of the
machinery behind these, phalanx has not:

* execnet: `node.channel`, `node.putevent`, `gateway.remote_exec`, `nodemanager.rsync_roots`.
  `nodemanager.group` is a list of gateways.
* `DSession.worker_testreport`, `worker_logstart` and the others that tell of single tests: hooks of pytest's
  tell the same. `DSession.handle_crashitem`, put there by a conftest file, is not called:
  `pytest_handlecrashitem` is.
* `pending` and `node2pending` of the schedulers that come with `--dist`: their tests are in a run queue that
  the workers share. A scheduler that `pytest_xdist_make_scheduler` returns has them.
"""


def write(
    results: list[Any],
    shown: list[str],
    versions: dict[str, str],
    word: Callable[[Any, str], str],
) -> None:
    lines = [HEAD]
    commits = ", ".join(dict.fromkeys(result.commit for result in results))
    lines.append(
        f"CPython {platform.python_version()}, pytest {versions['pytest']}, "
        f"pytest-xdist {versions['pytest-xdist']}, phalanx {versions['phalanx']} ({commits}).\n"
    )
    lines.append(
        "| plugin | version | what the suite makes use of | " + " | ".join(shown) + " | tests |"
    )
    lines.append("| --- | --- | --- |" + " --- |" * len(shown) + " ---: |")
    for result in results:
        plugin = result.case.plugin
        version = versions.get(plugin.lower(), "")
        words = " | ".join(word(result, mode) for mode in shown)
        exercises = " ".join(result.case.exercises.split())
        lines.append(f"| {plugin} | {version} | {exercises} | {words} | {result.tests or '-'} |")
    lines += ["\n## Where workers part\n"]
    lines += describe_parting(results)
    notes = [note for result in results for note in describe(result, shown)]
    lines.append("\n## What differs, and why\n")
    lines += notes or ["Nothing."]
    lines.append(TAIL.rstrip())
    PAGE.write_text("\n".join(lines) + "\n")
    print(f"wrote {PAGE.relative_to(PAGE.parent.parent)}")


def describe_parting(results: list[Any]) -> list[str]:
    """What the runs themselves said, without the directory that the plugins are installed in."""
    elsewhere = []
    for result in results:
        lines = {
            re.sub(r"\S*/site-packages/", "", line)
            for mode, told in result.parted.items()
            if mode != "spawn"
            for line in told
        }
        other = sorted(lines - {"forked after collection"})
        if other:
            elsewhere.append(f"* `{result.name}` ({result.case.plugin}): {'; '.join(other)}.")
    return (
        ["After collection, in all suites but these:\n", *elsewhere]
        if elsewhere
        else ["After collection, in all suites."]
    )


def describe(result: Any, shown: list[str]) -> list[str]:
    plugin = f"`{result.name}` ({result.case.plugin})"
    if result.skipped:
        return [f"* {plugin} was not run: {result.skipped}."]
    by_what: dict[str, list[str]] = {}
    for mode, found in result.differences.items():
        if mode in shown:
            for what in found:
                by_what.setdefault(what, []).append(mode)
    by_cause: dict[str, tuple[list[str], list[str]]] = {}
    for what, modes in by_what.items():
        cause = result.case.known.get(what) or result.case.known.get(
            re.sub(r"^run \d+: ", "", what)
        )
        if cause is None and modes == ["pytest-xdist"]:
            text = result.differences["pytest-xdist"][what]
            cause = f"phalanx is as without workers, pytest-xdist is not: {shorten(text)}"
        whats, found = by_cause.setdefault(cause or "**not explained**", ([], []))
        whats.append(what)
        found += [mode for mode in modes if mode not in found]
    return [
        f"* {plugin}, {', '.join(whats)}, in {', '.join(found)}: {cause}."
        for cause, (whats, found) in by_cause.items()
    ]


def shorten(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|")
    return f"`{text if len(text) < 200 else text[:197] + '...'}`"
