"""Every suite of the table, in every mode, says the same as sequential pytest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import pytest
from expected import MODES, SUITES, Suite
from runner import Project, Run

# The suites whose tests could be affected by who runs what meet every mode, the others some; a run without
# tests never forks.
WIDE = ("kinds", "names", "styles", "output")
WITHOUT_TESTS = ("broken file", "nothing", "all deselected")
SOME_MODES = ("sequential", "n1-load", "n2-load", "n2-loadscope", "n4-loadgroup", "n4-worksteal")
FEW_MODES = ("sequential", "n2-load", "n2-loadscope")


def modes_of(suite: str) -> Iterable[str]:
    if suite in WIDE:
        return MODES
    return FEW_MODES if suite in WITHOUT_TESTS else SOME_MODES


def cases() -> list[tuple[str, str]]:
    return [(suite, mode) for suite in SUITES for mode in modes_of(suite)]


@pytest.fixture(scope="module")
def run_suite(new_project: Callable[..., Project]) -> Iterator[Callable[[str, str], Run]]:
    @cache
    def project_of(name: str) -> Project:
        return new_project(SUITES[name].files)

    def start(name: str, mode: str) -> Run:
        return project_of(name).run("-p", "no:cacheprovider", *SUITES[name].args, *MODES[mode])

    # The next run goes on while the tests look at this one.
    pool = ThreadPoolExecutor(2)
    order = cases()
    futures: dict[tuple[str, str], Future[Run]] = {}

    def run(name: str, mode: str) -> Run:
        position = order.index((name, mode))
        for case in order[position : position + 2]:
            if case not in futures:
                project_of(case[0])
                futures[case] = pool.submit(start, *case)
        return futures[name, mode].result()

    yield run
    pool.shutdown()


@pytest.mark.parametrize(("name", "mode"), cases())
def test_suite(run_suite: Callable[[str, str], Run], name: str, mode: str) -> None:
    suite = SUITES[name]
    run = run_suite(name, mode)
    assert run.outcomes == {n: sorted(words.split()) for n, words in suite.outcomes.items()}, str(
        run
    )
    assert run.code == suite.code, str(run)
    assert run.collect_reports == sorted(suite.collect), str(run)
    check_counts(run, suite)
    for nodeid, sections in suite.sections.items():
        assert run.sections_of(nodeid) == sections
    assert run.warnings == sorted(suite.warnings)
    sequential = run_suite(name, "sequential")
    assert run.junit() == sequential.junit()
    assert run.junit_totals() == sequential.junit_totals()
    if mode != "sequential" and suite.outcomes:
        assert run.workers and run.workers <= {f"gw{number}" for number in range(int(mode[1]))}


def check_counts(run: Run, suite: Suite) -> None:
    counts = run.counts
    counts.pop("deselected", None)  # the tests of the table ran or did not
    assert counts == suite.counts, str(run)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "sequential"])
def test_failure_texts_are_the_same(run_suite: Callable[[str, str], Run], mode: str) -> None:
    for name in ("kinds", "styles", "hooks that fail"):
        if mode in modes_of(name):
            assert texts(run_suite(name, mode)) == texts(run_suite(name, "sequential"))


def texts(run: Run) -> dict[tuple[str, str], str]:
    return {
        (report["nodeid"], report["when"]): re.sub("0x[0-9a-f]+", "0x…", report["longrepr"])
        for report in run.reports
        if report["longrepr"]
    }


def group_workers(run: Run, key: Callable[[str], str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for report in run.reports:
        found.setdefault(key(report["nodeid"]), set()).add(report["worker"])
    return found


@pytest.mark.parametrize(
    ("mode", "key"),
    [
        ("n4-loadfile", lambda nodeid: nodeid.partition("::")[0]),
        ("n4-loadscope", lambda nodeid: nodeid.rpartition("::")[0]),
    ],
)
def test_a_scope_stays_on_one_worker(
    run_suite: Callable[[str, str], Run], mode: str, key: Callable[[str], str]
) -> None:
    run = run_suite("styles", mode)
    for scope, workers in group_workers(run, key).items():
        assert len(workers) == 1, (scope, workers)


def test_a_group_stays_on_one_worker(run_suite: Callable[[str, str], Run]) -> None:
    run = run_suite("names", "n4-loadgroup")
    grouped = {r["worker"] for r in run.reports if "group" in r["nodeid"]}
    assert len(grouped) == 1


def test_platform_line_above_a_failure(run_suite: Callable[[str, str], Run]) -> None:
    run = run_suite("kinds", "n2-load")
    lines = run.lines
    for number, line in enumerate(lines):
        if line.strip("_ ") == "test_fail":
            assert lines[number + 1].startswith(
                ("[gw0] linux -- Python 3.", "[gw1] linux -- Python 3.")
            )
            break
    else:
        pytest.fail(str(run))
