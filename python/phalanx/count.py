"""--count: each test many times over, and what came of it.

Repetitions are made as pytest-repeat makes them: one more parameter of each test, whose id (`3-10`) ends the
node id. Where pytest-repeat is installed, it makes them; what they come to is told in either case. That
repetitions of one test run on different workers at the same time is the planner's work (src/sched/repeat.c).
"""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from phalanx import late_options
from phalanx.flakiness import percent

STEP = "__pytest_repeat_step_number"  # pytest-repeat's name: conftest files ask for it

_REPETITION = re.compile(r"(?P<before>\[|-)(?P<index>\d+)-(?P<total>\d+)\]$")


def install(config: pytest.Config) -> None:
    count = late_options.value(config, "--count")
    if count > 1:
        config.pluginmanager.register(Repeater(count, late_options.value(config, "--repeat-scope")))
    if is_repeated(config):
        config.pluginmanager.register(Repetitions(config), "phalanx-repetitions")


def is_repeated(config: pytest.Config) -> bool:
    """Whether there may be repetitions: by our option, or by pytest-repeat's option or marks."""
    manager = config.pluginmanager
    return (
        late_options.value(config, "--count") > 1
        or manager.hasplugin("repeat")
        or manager.hasplugin("pytest_repeat")
    )


def repetitions(config: pytest.Config, tests: int) -> bytes | None:
    """At the end of a run, one byte for each collected test: 1 for a repetition. None: there was none."""
    plugin = config.pluginmanager.getplugin("phalanx-repetitions")
    return None if plugin is None else plugin.among(tests)


def split(nodeid: str) -> tuple[str, int] | None:
    """`t.py::test_x[a-3-10]` is repetition 3 of `t.py::test_x[a]`."""
    match = _REPETITION.search(nodeid)
    if match is None or not 1 <= int(match["index"]) <= int(match["total"]):
        return None
    base = nodeid[: match.start()] + ("]" if match["before"] == "-" else "")
    return base, int(match["index"])


class Repeater:
    def __init__(self, count: int, scope: str) -> None:
        self._count = count
        self._scope: Any = scope

    @pytest.fixture(name=STEP)
    def step_number(self, request: pytest.FixtureRequest) -> int:
        number: int = request.param
        return number

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        metafunc.fixturenames.append(STEP)
        metafunc.parametrize(
            STEP,
            range(self._count),
            indirect=True,
            ids=[self._id(index) for index in range(self._count)],
            scope=self._scope,
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """What takes no parameters is made anew: methods of unittest's classes. Others run once."""
        repeated: list[pytest.Item] = []
        once: list[str] = []
        for item in items:
            if _is_step(item):
                repeated.append(item)
            elif hasattr(item, "obj") and isinstance(item, pytest.Function):
                repeated += [self._again(item, index) for index in range(self._count)]
            else:
                repeated.append(item)
                once.append(item.nodeid)
        items[:] = repeated
        if once:
            config.issue_config_time_warning(
                pytest.PytestWarning(
                    f"--count: {once[0]}{' and others' if len(once) > 1 else ''} cannot be repeated, as "
                    "this kind of test takes no parameters, and will run once"
                ),
                stacklevel=2,
            )

    def _id(self, index: int) -> str:
        return f"{index + 1}-{self._count}"

    def _again(self, item: pytest.Function, index: int) -> pytest.Item:
        again = type(item).from_parent(item.parent, name=item.name, callobj=item.obj)
        again.own_markers = copy.copy(item.own_markers)
        again.keywords.update(item.keywords)
        # The name stays: unittest finds the method by it.
        suffix = f"[{self._id(index)}]"
        path, line, place = item.location
        again.__dict__["location"] = path, line, place + suffix
        _set_node_id(again, item.nodeid + suffix)
        return again


def _set_node_id(item: Any, nodeid: str) -> None:
    if hasattr(item, "_id"):  # pytest 9.2
        from _pytest.nodeid import (  # type: ignore[import-not-found]
            coerce_node_id,
        )

        item._id = coerce_node_id(nodeid)
    else:
        item._nodeid = nodeid


def _is_step(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and STEP in callspec.params


class Repetitions:
    """What the repetitions of each test came to."""

    def __init__(self, config: pytest.Config) -> None:
        self._by_option = late_options.value(config, "--count") > 1
        self._is_worker = hasattr(config, "workerinput")
        self._failed: dict[str, set[int]] = {}
        self._ran: dict[str, set[int]] = {}
        self._tests: set[int] = set()  # by their places in the collection

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        outcome = yield
        if _is_step(item) or self._by_option:
            outcome.get_result().is_repetition = True

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: Any) -> None:
        # The report of a crash is made elsewhere: it cannot say whether the test was a repetition.
        if self._is_worker or not (self._by_option or getattr(report, "is_repetition", False)):
            return
        repetition = split(report.nodeid)
        if repetition is None:
            return
        base, index = repetition
        self._tests.add(getattr(report, "item_index", -1))
        if report.failed:
            self._failed.setdefault(base, set()).add(index)
            self._ran.setdefault(base, set()).add(index)
        elif report.passed and report.when == "call":
            self._ran.setdefault(base, set()).add(index)

    def among(self, tests: int) -> bytes | None:
        if self._by_option:
            return b"\1" * tests
        if not self._tests:
            return None
        return bytes(test in self._tests for test in range(tests))

    def mixed(self) -> dict[str, tuple[list[int], int]]:
        """Tests of which some repetitions failed and others did not: which failed, of how many that ran."""
        return {
            base: (sorted(failed), len(self._ran[base]))
            for base, failed in self._failed.items()
            if len(failed) < len(self._ran[base])
        }

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        mixed = self.mixed()
        if not mixed:
            return
        terminalreporter.write_sep("=", "repetitions that disagree", yellow=True)
        for base, (failed, ran) in sorted(
            mixed.items(), key=lambda entry: -len(entry[1][0]) / entry[1][1]
        ):
            listed = ", ".join(map(str, failed[:10])) + (", …" if len(failed) > 10 else "")
            terminalreporter.write_line(
                f"{base}: {len(failed)} of {ran} failed ({percent(len(failed), ran)}): repetition"
                f"{'' if len(failed) == 1 else 's'} {listed}"
            )
        terminalreporter.write_line(
            f"{len(mixed)} of {len(self._ran)} repeated tests disagree "
            f"({percent(len(mixed), len(self._ran))})"
        )
