"""What rsync runs as its remote shell: the command of the machine, whatever that is.

rsync gives a host and a command; the host is ours, and the command goes behind PHALANX_RSH, a JSON list.
"""

from __future__ import annotations

import json
import os
import sys

if __name__ == "__main__":
    command = json.loads(os.environ.pop("PHALANX_RSH"))
    os.execvp(command[0], [*command, *sys.argv[2:]])
