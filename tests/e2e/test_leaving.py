"""How a worker ends: what was registered in it runs and what it has buffered is written, once, and nothing that
belongs to the process it was forked from."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from runner import Project

WAYS = ["auto", "spawn"]
TWO_FILES = ("-n2", "--dist=loadfile")  # each worker runs one of them at least


def write_twice(project: Project, test: str, **files: str) -> None:
    project.write({"test_a.py": test, "test_b.py": test, **files})


@pytest.mark.parametrize("start", WAYS)
def test_hooks_of_the_end_run_once_in_each(project: Project, start: str) -> None:
    """In the controller too; not in the process that stood for all workers."""
    write_twice(
        project,
        "def test_it(): pass\n",
        **{
            "conftest.py": """
                import os

                def note(what):
                    with open("log", "a") as log:
                        print(what, os.environ.get("PYTEST_XDIST_WORKER"), file=log)

                def pytest_sessionfinish(): note("finish")
                def pytest_unconfigure(): note("unconfigure")
            """
        },
    )
    assert project.run(*TWO_FILES, f"--start-method={start}").code == 0
    assert sorted(project.log()) == [
        f"{what} {who}" for what in ("finish", "unconfigure") for who in ("None", "gw0", "gw1")
    ]


@pytest.mark.parametrize("start", WAYS)
def test_log_records_in_memory_are_flushed(project: Project, start: str) -> None:
    """By logging's own handler of the exit, which was registered before the fork."""
    write_twice(
        project,
        """
        import logging

        def test_it(worker_id):
            logging.getLogger("own").warning(worker_id)
        """,
        **{
            "conftest.py": """
                import logging, logging.handlers

                target = logging.FileHandler("log", delay=True)
                logging.getLogger("own").addHandler(
                    logging.handlers.MemoryHandler(1000, logging.ERROR, target)
                )
            """
        },
    )
    assert project.run(*TWO_FILES, f"--start-method={start}").code == 0
    assert sorted(project.log()) == ["gw0", "gw1"]


@pytest.mark.parametrize("start", WAYS)
def test_finalizers_of_multiprocessing_run(project: Project, start: str) -> None:
    write_twice(
        project,
        """
        from multiprocessing import util

        def note(worker_id):
            with open("log", "a") as log:
                print(worker_id, file=log)

        def test_it(worker_id):
            util.Finalize(None, note, [worker_id], exitpriority=1)
        """,
        **{"conftest.py": "import multiprocessing.util\n"},
    )
    assert project.run(*TWO_FILES, f"--start-method={start}").code == 0
    assert sorted(project.log()) == ["gw0", "gw1"]


@pytest.mark.parametrize("start", WAYS)
def test_what_c_has_buffered_is_written(project: Project, start: str) -> None:
    """A library that opens a file and never closes it relies on the exit; what it had before is written once."""
    write_twice(
        project,
        """
        import conftest

        def test_it(worker_id):
            conftest.write(worker_id)
        """,
        **{
            "conftest.py": """
                import ctypes, os

                libc = ctypes.CDLL(None)
                libc.fopen.restype = ctypes.c_void_p
                libc.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
                file = libc.fopen(b"log", b"a")

                def write(text):
                    libc.fputs(text.encode() + b"\\n", file)

                if "PYTEST_XDIST_WORKER" in os.environ:
                    write("before")
            """
        },
    )
    run = project.run(*TWO_FILES, f"--start-method={start}")
    assert run.code == 0, str(run)
    before = ["before"] * (1 if start == "auto" else 2)
    assert sorted(project.log()) == [*before, "gw0", "gw1"]


OWN_LIBRARY = "int twice(int a) { return 2 * a; }\nint once(int a) { return a; }\n"


@pytest.mark.parametrize("start", WAYS)
def test_counts_of_gcov_are_written(project: Project, start: str) -> None:
    """Libraries that were built for it write them in a destructor, which _exit does not call."""
    compiler, gcov = shutil.which("gcc"), shutil.which("gcov")
    if compiler is None or gcov is None:
        pytest.skip("needs gcc and gcov")
    write_twice(
        project,
        """
        import ctypes

        own = ctypes.CDLL("./own.so")

        def test_it():
            assert own.twice(4) == 8
        """,
        **{"own.c": OWN_LIBRARY},
    )
    command = [compiler, "-shared", "-fPIC", "--coverage", "-O0", "-o", "own.so", "own.c"]
    subprocess.run(command, cwd=project.path, check=True, timeout=60)
    run = project.run(*TWO_FILES, f"--start-method={start}")
    assert run.code == 0 and run.counts == {"passed": 2}, str(run)
    counts = next(project.path.glob("*.gcda"))
    subprocess.run(
        [gcov, counts.name], cwd=project.path, check=True, timeout=60, capture_output=True
    )
    lines = [line.split(":") for line in (project.path / "own.c.gcov").read_text().splitlines()]
    counted = {number.strip(): count.strip() for count, number, *_ in lines}
    assert (counted["1"], counted["2"]) == ("2", "#####"), lines
