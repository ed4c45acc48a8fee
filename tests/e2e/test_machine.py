"""What the machine does to a run: no processes, descriptors or disk to be had, clocks that jump, processes that
stand still, a terminal that takes nothing for a while. Sequential pytest in the same place is the reference
where it lives through that."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import Project, Run, processes, wait_until

NOTE = "import os, time\nimport pytest\n"
MANY = (
    NOTE
    + "@pytest.mark.parametrize('number', range(20))\ndef test_many(number): time.sleep(0.02)\n"
)


def make_program(project: Project, name: str, text: str) -> str:
    """A program in the place of Python's, which it runs in the end."""
    path = project.home / name
    path.write_text(f"#!/bin/sh\nset -e\n{text}\n")
    path.chmod(0o755)
    return str(path)


# ---- processes ----


def another_user(project: Project, nprocesses: int) -> str:
    """Python as a user of its own who may read every file, and have so many processes: root may have any."""
    if os.getuid() != 0 or shutil.which("setpriv") is None or shutil.which("prlimit") is None:
        pytest.skip(
            "only root can run as a user who has no other processes, with setpriv and prlimit"
        )
    caps = "+dac_override,+dac_read_search,+fowner"
    become = f"setpriv --reuid={40_000 + os.getpid()} --inh-caps={caps} --ambient-caps={caps}"
    done = subprocess.run([*become.split(), "true"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"setpriv may not: {done.stderr}")
    limited = f"{become} prlimit --nproc={nprocesses} {sys.executable}"
    return make_program(project, "python", f'exec {limited} "$@"')


@pytest.mark.parametrize("room", [1, 2])
def test_some_workers_cannot_be_forked(project: Project, room: int) -> None:
    """Controller, its watchdog, guard and zygote, and room for some workers."""
    project.write(
        {
            # Until the others have failed: an end of a worker would make room for one.
            "test_a.py": NOTE
            + f"""
@pytest.mark.parametrize("number", range(20))
def test_many(number):
    deadline = time.monotonic() + 120
    while len([name for name in os.listdir() if name.startswith("down-")]) < {4 - room}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
""",
            "conftest.py": """
                def pytest_testnodedown(node, error):
                    if error:
                        open(f"down-{node.gateway.id}", "w").close()
            """,
        }
    )
    run = project.run("-n4", python=another_user(project, 4 + room))
    assert run.counts == {"passed": 20} and run.code == 0, str(run)
    assert run.out.count("could not be started: ") == 4 - room, str(run)
    assert "Resource temporarily unavailable" in run.out


def test_no_worker_can_be_forked(project: Project) -> None:
    project.write({"test_a.py": MANY})
    run = project.run("-n2", python=another_user(project, 4))
    assert run.code == 1 and run.has_line("20 not run, as no worker was left"), str(run)
    assert "Traceback" not in run.err


@pytest.mark.parametrize("nprocesses", [1, 2])
def test_nothing_can_be_started(project: Project, nprocesses: int) -> None:
    """Neither the guard nor, with it, the zygote: a sentence, not a traceback."""
    project.write({"test_a.py": MANY})
    run = project.run("-n2", python=another_user(project, nprocesses))
    assert run.code not in (0, 1), str(run)
    assert "Resource temporarily unavailable" in run.out + run.err, str(run)
    assert "Traceback" not in run.out + run.err, str(run)


# ---- descriptors ----


def limit_descriptors(number: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def test_too_few_descriptors(project: Project) -> None:
    project.write({"test_a.py": MANY})
    run = project.run("-n8", preexec_fn=limit_descriptors(64))
    assert run.code == 4 and "Traceback" not in run.out + run.err, str(run)
    assert "INTERNALERROR" not in run.out
    assert "file descriptors, the limit is 64 (ulimit -Hn)" in run.out + run.err, str(run)


@pytest.mark.parametrize("number", ["-n1", "-n2", "-n4"])
def test_a_test_uses_up_its_descriptors(project: Project, number: str) -> None:
    """Its report arrives all the same, and so do those of the tests behind it."""
    uses = """
        import os, resource

        def test_uses():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            global held
            held = []
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))

        def test_after(): pass
    """
    project.write({"test_a.py": uses, "test_b.py": MANY})
    run = project.run(number, "--dist=loadfile")
    assert run.counts == {"passed": 21, "failed": 1} and run.code == 1, str(run)
    assert "Too many open files" in run.report_of("test_a.py::test_uses")["longrepr"]


# ---- the disk ----


def with_small_disk(project: Project) -> tuple[Path, str]:
    """A directory that has room for 64 KB, seen by the program that is returned only."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount a small file system of its own, with unshare")
    disk = project.home / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=64k none {disk}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"the kernel refuses a mount: {done.stderr}")
    script = make_program(project, "mounted", f'{mount}\nexec "$@"')
    return disk, make_program(project, "python", f'exec unshare -m {script} {sys.executable} "$@"')


FILLS = """
    import pytest

    @pytest.mark.parametrize("number", range(6))
    def test_many(number, tmp_path):
        if number == 3:
            (tmp_path / "large").write_bytes(b"x" * 500_000)

    def test_after(): print("y" * 200_000)
"""


def with_and_without_workers(project: Project, *args: str, python: str) -> tuple[Run, Run]:
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    sequential = project.run(*args, python=python, env=environment, basetemp=False)
    return sequential, project.run("-n2", *args, python=python, env=environment, basetemp=False)


def test_full_disk_below_basetemp(project: Project) -> None:
    project.write({"test_a.py": FILLS})
    disk, python = with_small_disk(project)
    sequential, run = with_and_without_workers(project, f"--basetemp={disk}/base", python=python)
    assert sequential.counts["failed"] == 1, str(sequential)
    assert run.outcomes == sequential.outcomes and run.code == sequential.code == 1, str(run)
    assert "No space left on device" in run.report_of("test_a.py::test_many[3]")["longrepr"]


@pytest.mark.parametrize("what", ["cache", "junit xml"])
def test_full_disk_below(project: Project, what: str) -> None:
    """The results are told, with the exit status of the run without workers."""
    project.write({"test_a.py": FILLS.replace("500_000", "5")})
    disk, python = with_small_disk(project)
    names = {"cache": ("-o", f"cache_dir={disk}/cache"), "junit xml": (f"--junitxml={disk}/xml",)}
    long_ids = "@pytest.mark.parametrize('x', range(300), ids=lambda x: 'x' * 500 + str(x))\n"
    project.write({"test_b.py": f"import pytest\n{long_ids}def test_long(x): assert x % 2\n"})
    sequential, run = with_and_without_workers(
        project, "--tb=no", "-q", *names[what], python=python
    )
    assert run.outcomes == sequential.outcomes and len(run.outcomes) == 307, str(run)
    assert run.code == sequential.code, str(run)
    assert run.counts.get("failed") == sequential.counts.get("failed")
    assert "No space left on device" in sequential.out + sequential.err, str(sequential)


def test_full_output(project: Project) -> None:
    """Where its own lines cannot be written, pytest ends as it likes; but it ends."""
    project.write({"test_a.py": MANY})
    with open("/dev/full", "wb") as full:
        sequential = project.run(stdout=full)
        run = project.run("-n2", stdout=full)
    assert run.code == sequential.code != 0, f"{run}\n{sequential}"


# ---- clocks ----

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

/* A day later for as long as the file is there, and a day earlier once it is gone again. */
static long jump(void)
{
    struct stat info;
    static int seen;
    const char *path = getenv("JUMP_FILE");
    if (path && stat(path, &info) == 0)
        return seen = 86400;
    return seen ? -86400 : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, out);
    if (clock == CLOCK_REALTIME)
        out->tv_sec += jump();
    return status;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


def test_clock_jumps(project: Project) -> None:
    """A day ahead and two back, in all processes of the run: nobody waits, nothing is killed."""
    project.write({"clock.c": CLOCK})
    library = project.path / "clock.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no compiler for the library that makes the clock jump")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, project.path / "clock.c", "-ldl"], check=True
    )
    jumps = """
        import os, subprocess, sys, threading, time
        import pytest

        @pytest.mark.parametrize("number", range(30))
        def test_many(number):
            if number in (5, 20):
                before = time.time()
                (open if number == 5 else lambda name, mode: os.unlink(name))("jump", "w")
                assert abs(time.time() - before) > 80_000
            time.sleep(0.02)
            if number == 10:
                os._exit(3)
    """
    project.write({"test_a.py": jumps})
    run = project.run(
        "-n2",
        "--dist=loadfile",
        "--watchdog=30",
        env={"LD_PRELOAD": str(library), "JUMP_FILE": str(project.path / "jump")},
    )
    assert run.counts == {"passed": 29, "failed": 1} and run.code == 1, str(run)
    assert "no progress" not in run.err and "overdue" not in run.out
    utilisation = [line for line in run.lines if "29 tests" in line or "30 tests" in line]
    assert utilisation and "86" not in utilisation[0].partition("longest")[2], str(run)


# ---- standing still ----


@pytest.mark.parametrize("role", ["controller", "guard", "zygote", "worker"])
def test_a_process_stands_still(project: Project, role: str) -> None:
    """For a while, in the middle of the run; a worker of it dies meanwhile."""
    dies = """
        import os, pathlib, time
        import pytest

        @pytest.mark.parametrize("number", range(40))
        def test_many(number):
            pathlib.Path(f"ran{number}").touch()
            deadline = time.monotonic() + 120
            while not os.path.exists("go") and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.02)
            if number == 12:
                os._exit(3)
    """
    project.write({"test_a.py": dies})
    running = project.start("-n2")
    wait_until(lambda: list(project.path.glob("ran*")), "the first test")
    (pid,) = processes(running)[role][:1]
    os.kill(pid, signal.SIGSTOP)
    (project.path / "go").touch()
    time.sleep(1)
    os.kill(pid, signal.SIGCONT)
    run = running.wait()
    assert run.counts == {"passed": 39, "failed": 1} and run.code == 1, str(run)


def test_output_that_nobody_takes_for_a_while(project: Project) -> None:
    """A terminal in a window that was put away, `| less`: the controller waits in a write, the workers wait
    for it; then all goes on. The watchdog says where it was."""
    many = "import pytest\n@pytest.mark.parametrize('number', range(3000))\ndef test_many(number): pass\n"
    project.write({"test_a.py": many})
    read, write = os.pipe()
    running = project.start("-n2", "-v", "--watchdog=1", stdout=write)
    os.close(write)
    err = project.home / "run1" / "err"
    wait_until(lambda: "no progress for 1 s" in err.read_text(), "the watchdog")
    time.sleep(1.5)  # it says so once
    assert err.read_text().count("no progress") == 1
    with open(read, "rb") as pipe:
        text = pipe.read().decode()
    run = running.wait()
    assert run.code == 0 and len(run.outcomes) == 3000, run.err
    assert text.count("PASSED") == 3000 and "3000 passed" in text


@pytest.mark.parametrize("megabytes", [200, 300])
def test_output_without_measure(project: Project, megabytes: int) -> None:
    """The outcome is kept; of the output, what a message has room for."""
    prints = f"""
        import os

        def test_prints():
            for _ in range({megabytes}):
                os.write(1, b"x" * (1 << 20))

        def test_after(): pass
    """
    project.write({"test_a.py": prints})
    run = project.run("-n1", "-p", "no:phalanx_recorder", "-q", "-o", "junit_logging=no")
    assert run.counts == {"passed": 2} and run.code == 0, run.out[-2000:] + run.err[-2000:]
