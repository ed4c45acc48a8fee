"""Reports as data and back: the short way for plain ones says what pytest's own serialisation says."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from phalanx.serialize import OUTPUT_MAX, cut_output, report_reader, report_writer

pytest_plugins = ["pytester"]


SOURCE = """
import pytest

def test_passes(): pass
def test_fails(): assert {"a": 1} == {"a": 2}
@pytest.mark.parametrize("value", ["x/y", "a::b", "[1]"])
def test_with(value): pass
"""


@pytest.fixture
def config_and_reports(pytester: pytest.Pytester) -> tuple[Any, list[pytest.TestReport]]:
    items: list[Any] = pytester.getitems(SOURCE)
    reports = []
    for item in items:
        arguments = item.callspec.params if hasattr(item, "callspec") else {}
        call = pytest.CallInfo.from_call(functools.partial(item.obj, **arguments), "call")
        reports.append(pytest.TestReport.from_item_and_call(item, call))
    return items[0].config, reports


def test_writer_says_what_the_hook_says(config_and_reports: Any) -> None:
    config, reports = config_and_reports
    write = report_writer(config)
    assert len(reports) == 5
    for report in reports:
        by_hook = config.hook.pytest_report_to_serializable(config=config, report=report)
        assert write(config, report) == by_hook


@pytest.mark.parametrize(
    "name, value", [("result", 3), ("path", Path("a/b")), ("path", Path("")), ("number", 1.5)]
)
def test_attributes_that_plugins_attach(config_and_reports: Any, name: str, value: object) -> None:
    config, reports = config_and_reports
    setattr(reports[0], name, value)
    by_hook = config.hook.pytest_report_to_serializable(config=config, report=reports[0])
    assert report_writer(config)(config, reports[0]) == by_hook


def test_reader_gives_back_the_report(config_and_reports: Any) -> None:
    config, reports = config_and_reports
    write, read = report_writer(config), report_reader(config)
    for report in reports:
        back = read(config, write(config, report))
        assert type(back) is pytest.TestReport
        assert back.nodeid == report.nodeid
        assert (back.outcome, back.when, back.location) == (
            report.outcome,
            report.when,
            report.location,
        )
        assert str(back.longrepr) == str(report.longrepr)
        assert back.keywords == report.keywords
        assert back.duration == report.duration


@pytest.mark.parametrize("sections", [[("stdout", "x")], (("stdout", "x"),)])
def test_reader_makes_what_the_constructor_makes(config_and_reports: Any, sections: Any) -> None:
    config, reports = config_and_reports
    report: Any = reports[0]
    report.sections = sections
    report.extra = "of a plugin"
    data = report_writer(config)(config, report)
    by_hook = config.hook.pytest_report_from_serializable(config=config, data=dict(data))
    by_hook.__dict__.pop("$report_type", None)  # pytest 9.2 leaves it there
    assert vars(report_reader(config)(config, data)) == vars(by_hook)


def test_reports_of_other_classes_go_by_the_hook(config_and_reports: Any) -> None:
    config, reports = config_and_reports

    class Mine(pytest.TestReport):
        pass

    report = reports[0]
    report.__class__ = Mine
    data = report_writer(config)(config, report)
    assert data == config.hook.pytest_report_to_serializable(config=config, report=report)


@pytest.mark.parametrize("letter", ["x", "\u20ac", "\U0001f600"])
def test_large_output_loses_its_middle(letter: str) -> None:
    size = len(letter.encode())
    small = ("Captured stderr call", "e" * 1000)
    whole = ("Captured stdout call", letter * (OUTPUT_MAX // size - 1000))
    assert cut_output([whole, small]) == [whole, small]
    large = ("Captured stdout call", "start" + letter * (OUTPUT_MAX // size) + "end")
    (name, text), rest = cut_output([large, small])
    assert rest == small and name == large[0]
    assert len(text.encode()) <= OUTPUT_MAX // 2 + 100
    assert text.startswith("start") and text.endswith("end")
    assert text.count("characters of this output are left out here]") == 1


def test_large_output_of_unpaired_surrogates_is_cut_too() -> None:
    ((_, text),) = cut_output([("Captured log call", "\udc80" * (OUTPUT_MAX // 2))])
    assert len(text.encode(errors="surrogatepass")) <= OUTPUT_MAX + 100
