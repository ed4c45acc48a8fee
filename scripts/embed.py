"""Writes a file as a C string: `embed.py FILE NAME HEADER` makes HEADER, where NAME ends with a NUL."""

from __future__ import annotations

import sys
from pathlib import Path

ROW = 24


def main() -> None:
    source, name, header = sys.argv[1:]
    data = Path(source).read_bytes() + b"\0"
    rows = (data[i : i + ROW] for i in range(0, len(data), ROW))
    # Values that a char of either sign can hold.
    text = ",\n".join(", ".join(str(b if b < 128 else b - 256) for b in row) for row in rows)
    Path(header).write_text(
        f"static const signed char {name}_bytes[] = {{\n{text}}};\n"
        f"#define {name} ((const char *){name}_bytes)\n"
    )


main()
