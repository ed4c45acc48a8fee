"""The live line, seen through a pty by something that understands cursor movements."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time

import pytest
from runner import TIMEOUT_S, Project, clean_environment

from phalanx.progress import line

# The long test ends when the line has told of it.
SUITE = """
    import os, time
    import pytest

    @pytest.mark.parametrize("p", range(6))
    def test_quick(p): assert p != 3
    def test_long():
        time.sleep(1.6)
        deadline = time.monotonic() + 120
        while not os.path.exists("seen") and time.monotonic() < deadline:
            time.sleep(0.05)
"""
LINE = re.compile(r"6/7 \(85 %\)  about \d+:\d\d left  1 failed  test_long \d+ s")

DRAWN = re.compile(r"\x1bD\x1bM\x1b7\x1bD\r(.*?)\x1b\[K\x1b8")


def on_terminal(project: Project, *args: str, **env: str) -> str:
    controller, terminal = pty.openpty()
    environment = {**clean_environment(), "TERM": "xterm", "COLUMNS": "100", "LINES": "30", **env}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args]
    process = subprocess.Popen(
        command, cwd=project.path, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    text = b""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            more = os.read(controller, 65536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        text += more
        if any(LINE.fullmatch(line) for line in DRAWN.findall(text.decode(errors="replace"))):
            (project.path / "seen").touch()
    os.close(controller)
    process.wait(TIMEOUT_S)
    return text.decode()


class Screen:
    """As much of a terminal as the run uses: what is on it in the end."""

    def __init__(self, height: int = 30) -> None:
        self.lines = [""] * height
        self.row = self.column = 0
        self.saved = (0, 0)

    def down(self) -> None:
        if self.row == len(self.lines) - 1:
            self.lines = [*self.lines[1:], ""]
        else:
            self.row += 1

    def feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[DM78]|[^\x1b]", text):
            if part == "\x1bD":
                self.down()
            elif part == "\x1bM":
                self.row -= 1
            elif part == "\x1b7":
                self.saved = self.row, self.column
            elif part == "\x1b8":
                self.row, self.column = self.saved
            elif part == "\x1b[K":
                self.lines[self.row] = self.lines[self.row][: self.column]
            elif part == "\r":
                self.column = 0
            elif part == "\n":
                self.down()
            elif not part.startswith("\x1b"):
                here = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = here[: self.column] + part + here[self.column + 1 :]
                self.column += 1


@pytest.mark.parametrize("height", [30, 8])
def test_the_line_comes_and_goes(project: Project, height: int) -> None:
    project.write({"test_a.py": SUITE})
    text = on_terminal(project, "-n2", "--tb=no")
    drawn = DRAWN.findall(text)
    assert any(map(LINE.fullmatch, drawn)), drawn
    screen = Screen(height)
    screen.feed(text)
    plain = "\n".join(screen.lines)
    assert " left  1 failed" not in plain, plain
    assert "1 failed, 6 passed" in plain, plain
    # What pytest writes is as it is without the line.
    without = on_terminal(project, "-n2", "--tb=no", "--progress=never")
    assert not DRAWN.search(without)
    dots = [line for line in plain_lines(text) if re.fullmatch(r"[.F]{7} +\[100%\]", line)]
    assert len(dots) == 1, plain_lines(text)


def plain_lines(text: str) -> list[str]:
    screen = Screen(200)
    screen.feed(text)
    return [line.rstrip() for line in screen.lines]


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (("-v",), {}),
        (("-q",), {}),
        (("-s",), {}),
        (("--progress=never",), {}),
        ((), {"CI": "true"}),
        ((), {"TERM": "dumb"}),
    ],
    ids=str,
)
def test_nobody_is_disturbed(project: Project, args: tuple[str, ...], env: dict[str, str]) -> None:
    project.write({"test_a.py": "import time\ndef test_a(): time.sleep(1.6)"})
    text = on_terminal(project, "-n1", *args, **env)
    assert "1 passed" in text and "\x1b7" not in text


def test_another_reporter_is_left_alone(project: Project) -> None:
    project.write(
        {
            "conftest.py": """
                import pytest
                from _pytest.terminal import TerminalReporter

                class Sugar(TerminalReporter): pass

                @pytest.hookimpl(trylast=True)
                def pytest_configure(config):
                    old = config.pluginmanager.getplugin("terminalreporter")
                    if old and not hasattr(config, "workerinput"):
                        config.pluginmanager.unregister(old)
                        config.pluginmanager.register(Sugar(config), "terminalreporter")
            """,
            "test_a.py": "import time\ndef test_a(): time.sleep(1.6)",
        }
    )
    text = on_terminal(project, "-n1")
    assert "1 passed" in text and "\x1b7" not in text


def test_a_pipe_gets_no_line(project: Project) -> None:
    project.write({"test_a.py": "import time\ndef test_a(): time.sleep(1.6)"})
    run = project.run("-n1")
    assert run.code == 0 and "\x1b" not in run.out


def test_what_the_line_says() -> None:
    assert line(0, 10, -1, 5, 0, []) == "0/10 (0 %)"
    assert line(5, 10, -1, 20, 0, []) == "5/10 (50 %)  about 0:20 left"
    assert line(5, 10, 61, 20, 2, []) == "5/10 (50 %)  about 1:01 left  2 failed"
    running = [(i, f"t.py::test_{i}[x::y]", 9.6 - i) for i in range(5)]
    assert line(1, 9, 5, 1, 0, running).endswith(
        "test_0[x::y] 10 s  test_1[x::y] 9 s  test_2[x::y] 8 s, …"
    )
    assert line(10, 10, 0, 3, 0, [(0, "t.py::a\x1b[2J", 0.2)]) == "10/10 (100 %)"
    assert "\x1b" not in line(1, 2, 0, 3, 0, [(0, "t.py::a\x1b[2J", 5)])
