"""Runs the scheduling simulator and writes its tables into docs/design/scheduling.md.

The simulator's exit status is 1 when a target is missed; the tables are written all the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUILD = TOP / "build-simulate"
PAGE = TOP / "docs" / "design" / "scheduling.md"
BEGIN, END = "<!-- make simulate writes from here -->\n", "<!-- to here -->\n"
RECORDED_WORKERS = (4, 16)


def build() -> Path:
    if not (BUILD / "build.ninja").exists():
        options = ["-Dtests=true", "-Dbuildtype=release", "-Db_ndebug=false"]
        subprocess.run(["meson", "setup", str(BUILD), *options], cwd=TOP, check=True)
    subprocess.run(["ninja", "-C", str(BUILD), "tests/sim/simulate"], check=True)
    return BUILD / "tests" / "sim" / "simulate"


def main() -> int:
    simulate = build()
    done = subprocess.run([str(simulate), "--check"], stdout=subprocess.PIPE, text=True)
    text = done.stdout.strip("\n") + "\n"
    head = text.split("\n\n")[0].splitlines()[:2]
    rows = []
    for path in sorted((TOP / "tests" / "sim" / "recorded").glob("*.tsv")):
        for workers in RECORDED_WORKERS:
            command = [str(simulate), "--recorded", str(path), "-n", str(workers)]
            rows.append(
                subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            )
    if rows:
        text += "\nRecorded suites:\n\n" + "\n".join(head) + "\n" + "".join(rows)
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1])
    print(text)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
