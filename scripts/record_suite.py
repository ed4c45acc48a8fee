"""Makes a recorded suite for the scheduling simulator of a run without workers:

    pytest --report-json=report.json
    python scripts/record_suite.py report.json > tests/sim/recorded/NAME.tsv

A line for each test, in the order in which they ran: microseconds, node id. Files and tests get numbers in
place of their names: the simulator asks no more than which tests are of one file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    durations = json.loads(Path(sys.argv[1]).read_text())["durations_s"]
    files: dict[str, int] = {}
    for number, (nodeid, seconds) in enumerate(durations.items()):
        file = files.setdefault(nodeid.partition("::")[0], len(files))
        print(f"{max(1, round(seconds * 1e6))}\tm{file}.py::t{number}")


if __name__ == "__main__":
    main()
