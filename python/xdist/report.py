"""The sentence about workers that have collected different tests."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def report_collection_diff(
    from_collection: Sequence[str],
    to_collection: Sequence[str],
    from_id: str,
    to_id: str,
) -> str | None:
    """None if both lists are equal; else what differs, as a unified diff under pytest-xdist's own words,
    for which people search."""
    if list(from_collection) == list(to_collection):
        return None
    lines = difflib.unified_diff(
        list(from_collection), list(to_collection), fromfile=from_id, tofile=to_id
    )
    text = (
        f"Different tests were collected between {from_id} and {to_id}. The difference is:\n"
        + "\n".join(lines)
        + "\nTo see why this happens see 'Known limitations' in documentation for pytest-xdist"
    )
    return "\n".join(line.rstrip() for line in text.split("\n"))
