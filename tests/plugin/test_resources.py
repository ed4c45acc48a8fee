"""What cannot be forked, and which programs do not count: without a zygote around it; tests/e2e has whole runs."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from phalanx import resources


def watch(reached: list[str]) -> resources.Watch:
    return resources.Watch(lambda what, frame: reached.append(what), {})


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("/dev/nvidia0", "something opened the device /dev/nvidia0"),
        ("/dev/nvidiactl", "something opened the device /dev/nvidiactl"),
        ("/dev/kfd", "something opened the device /dev/kfd"),
        ("/dev/dri/renderD128", "something opened the device /dev/dri/renderD128"),
        ("socket:[4711]", "something opened a socket"),
        ("anon_inode:[eventpoll]", "something made an event loop"),
        ("pipe:[4711]", "something opened a pipe"),
        ("/dev/null", None),
        ("/tmp/some file", None),
    ],
)
def test_descriptors(monkeypatch: Any, target: str, cause: str | None) -> None:
    looking = watch([])
    known = resources._descriptors()
    monkeypatch.setattr(resources, "_descriptors", lambda: {**known, 99: target})
    assert looking.find(set()) == cause
    assert looking.find({99}) is None, "each worker gets that one anew"


@pytest.mark.parametrize(
    ("command", "is_shared"),
    [
        (["git", "rev-parse", "HEAD"], True),
        (["/usr/bin/git", "-C", "some/where", "describe", "--tags"], True),
        (["git", "--no-pager", "-c", "a=b", "log", "-1"], True),
        ("git status --short", True),
        (["uname", "-a"], True),
        (["lscpu"], True),
        (["git", "commit", "-a"], False),
        (["git"], False),
        ("git status; server &", False),
        ("git log | head", False),
        (["hg", "id"], False),
        (["sleep", "60"], False),
    ],
)
def test_programs_that_only_read(command: Any, is_shared: bool) -> None:
    words = resources._words(command)
    assert bool(words and watch([])._is_shared(words)) == is_shared


def test_a_program_that_only_reads_must_be_waited_for(monkeypatch: Any) -> None:
    """Its output is read in the end, by code of the suite; `git log` may wait for somebody to read."""
    reached: list[str] = []
    looking = watch(reached)
    looking.begin()
    try:
        assert subprocess.check_output(["uname"]) == b"Linux\n" and reached == []
        with subprocess.Popen(["uname"], stdout=subprocess.PIPE) as child:
            child.communicate()
        assert reached == ["starts a process (uname)"]
    finally:
        looking.release()
    assert subprocess.Popen.__init__.__module__ == "subprocess"


def test_a_lock_that_every_fork_waits_for() -> None:
    """A pool's handler takes it before a fork: whoever forks while this thread holds it waits for ever."""
    import concurrent.futures.thread as pools

    looking: Any = watch([])
    assert looking.find(set()) is None
    with pools._global_shutdown_lock:  # type: ignore[attr-defined]
        assert (
            looking.find(set())
            == resources.find_held_lock()
            == "something started a thread of a pool"
        )
    assert looking.find(set()) is None
