"""The memory of runs that had to spawn: until the file to blame has changed, or some runs have passed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from phalanx import recruiting
from phalanx.recruiting import Recruiting


class Cache(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


def recruiter(cache: Cache | None) -> Recruiting:
    run: Any = SimpleNamespace(config=SimpleNamespace(cache=cache))
    return Recruiting(run)


def test_as_long_as_the_file_is_the_same(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "conftest.py"
    file.write_text("before")
    cache = Cache()
    reason = "conftest.py:1 started a thread (grpc)"
    recruiter(cache)._remember(reason)
    for _ in range(recruiting.RUNS_TO_TRUST + 2):
        assert recruiter(cache)._recall() == reason
    file.write_text("after")
    assert recruiter(cache)._recall() is None
    file.write_text("before")
    assert recruiter(cache)._recall() is None, "it has been looked for anew since"


def test_a_file_that_is_gone(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conftest.py").write_text("")
    cache = Cache()
    recruiter(cache)._remember("conftest.py started a thread (x)")
    (tmp_path / "conftest.py").unlink()
    assert recruiter(cache)._recall() is None


def test_a_cause_without_a_file_for_some_runs() -> None:
    cache = Cache()
    recruiter(cache)._remember("something opened a socket")
    for _ in range(recruiting.RUNS_TO_TRUST):
        assert recruiter(cache)._recall() == "something opened a socket"
    assert recruiter(cache)._recall() is None
    assert recruiter(cache)._recall() is None


@pytest.mark.parametrize("found", [None, 5, [], {}, {"reason": 5}, {"reason": "x"}, {"runs": "x"}])
def test_whatever_is_in_the_cache(found: Any) -> None:
    """It is a file that anybody may write: what makes no sense there is no reason to spawn."""
    assert recruiter(Cache({recruiting.CACHE_KEY: found}))._recall() is None


def test_without_a_cache() -> None:
    recruiter(None)._remember("something opened a socket")
    assert recruiter(None)._recall() is None
