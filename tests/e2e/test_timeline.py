"""--timeline, --chrome-trace, --report-json: what they say of runs whose truth is known, and the page in a
browser."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Page, browser, chromium
from runner import Project, Run

SUITE = """
    import os, time
    import pytest

    @pytest.fixture
    def slow_setup(): time.sleep(0.3)

    @pytest.fixture
    def slow_teardown():
        yield
        time.sleep(0.3)

    def test_setup(slow_setup): pass
    def test_teardown(slow_teardown): pass
    def test_call(): time.sleep(0.3)
    def test_fail(): assert 0
    def test_skip(): pytest.skip()
    @pytest.mark.xfail
    def test_xfail(): assert 0
    @pytest.mark.parametrize("p", ["</script><!--", "\\u00e4"])
    def test_names(p): pass
    def test_crash(): os._exit(1)
    def test_error(no_such_fixture): pass
"""

OUTCOMES = {
    "test_setup": "passed",
    "test_teardown": "passed",
    "test_call": "passed",
    "test_fail": "failed",
    "test_skip": "skipped",
    "test_xfail": "xfailed",
    "test_names[</script><!--]": "passed",
    "test_names[\\xe4]": "passed",
    "test_crash": "crashed",
    "test_error": "error",
}


@pytest.fixture(scope="module")
def pictured(new_project: Callable[..., Project]) -> tuple[Project, Run]:
    project = new_project({"test_a.py": SUITE})
    files = ["--timeline=out/run.html", "--chrome-trace=run.json", "--report-json=report.json"]
    return project, project.run("-n2", *files, together=2)


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text()
    match = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert match
    data: dict[str, Any] = json.loads(match[1])
    return data


def test_the_page_has_every_test_with_its_outcome(pictured: tuple[Project, Run]) -> None:
    project, run = pictured
    data = data_of(project.path / "out/run.html")
    found = {row[9].partition("::")[2]: data["outcomes"][row[6]] for row in data["tests"]}
    assert found == OUTCOMES, str(run)
    assert data["ran"] == data["collected"] == len(OUTCOMES)
    assert [worker[0] for worker in data["workers"]] == [0, 1, 2]
    crashed = [worker for worker in data["workers"] if worker[1]]
    assert len(crashed) == 1 and data["workers"][2][2] == crashed[0][0]
    assert run.has_line(r"timeline: .*/out/run.html$")


def test_phases_are_told_apart(pictured: tuple[Project, Run]) -> None:
    project, _ = pictured
    rows = {
        row[9].partition("::")[2]: row for row in data_of(project.path / "out/run.html")["tests"]
    }
    for phase, name in ((3, "test_setup"), (4, "test_call"), (5, "test_teardown")):
        assert rows[name][phase] >= 300_000  # it slept so long there
    for row in rows.values():
        assert row[1] + sum(row[3:6]) <= row[2] + 1


def test_tests_of_a_worker_do_not_overlap(pictured: tuple[Project, Run]) -> None:
    project, _ = pictured
    for number in range(3):
        rows = [r for r in data_of(project.path / "out/run.html")["tests"] if r[0] == number]
        assert all(a[2] <= b[1] for a, b in zip(rows, rows[1:]))


def test_the_trace_is_in_the_format(pictured: tuple[Project, Run]) -> None:
    project, _ = pictured
    trace = json.loads((project.path / "run.json").read_text())
    events = trace["traceEvents"]
    for event in events:
        assert (
            event["ph"] in "MXi" and isinstance(event["pid"], int) and isinstance(event["tid"], int)
        )
        if event["ph"] != "M":
            assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] > 0
        if event["ph"] == "i":
            assert event["s"] == "t"
    slices = [event for event in events if event["ph"] == "X" and event["cat"].startswith("test")]
    assert {e["name"].partition("::")[2]: e["args"]["outcome"] for e in slices} == OUTCOMES
    names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert names == {"gw0", "gw1", "gw2"}
    assert any(event["name"] == "crash" for event in events)


def test_every_figure_is_defined(pictured: tuple[Project, Run]) -> None:
    project, _ = pictured
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    report = json.loads((project.path / "report.json").read_text())
    names = {*report, *report["workers"], *report["workers"]["workers"][0]}
    assert {name for name in names if f"`{name}`" not in page} == set()
    html = (project.path / "out/run.html").read_text()
    figures = re.search(r"const figures = (.*?);", html, re.DOTALL)
    assert figures
    labels = re.findall(r'"([a-z ]{5,})', figures[1])
    assert len(labels) == 5, labels
    assert [label for label in labels if label not in " ".join(page.split())] == []


def test_the_json_report_is_that_of_a_sequential_run(project: Project) -> None:
    project.write({"test_a.py": SUITE.replace("os._exit(1)", "assert 0")})
    reports = []
    for way in ((), ("-n2",)):
        project.run("--report-json=report.json", *way)
        reports.append(json.loads((project.path / "report.json").read_text()))
    one, many = reports
    assert one["tests"] == many["tests"] and len(one["tests"]) == len(OUTCOMES)
    assert one["exit_code"] == many["exit_code"] == 1
    assert one["workers"] is None and many["workers"]["workers_at_a_time"] == 2
    assert sum(worker["tests"] for worker in many["workers"]["workers"]) == len(OUTCOMES)
    assert one["durations_s"]["test_a.py::test_call"] >= 0.3


@pytest.mark.parametrize("option", ["--timeline", "--chrome-trace", "--report-json"])
def test_a_file_that_cannot_be_written_changes_no_result(project: Project, option: str) -> None:
    project.write({"test_a.py": "def test_a(): pass"})
    for path in ("/dev/full", "/proc/nowhere/run.html"):
        run = project.run("-n1", f"{option}={path}")
        assert run.code == 0 and run.counts == {"passed": 1}, str(run)
        assert run.has_line(rf"^phalanx: .*cannot write {path}: ") and "Traceback" not in run.out
    (project.path / "there").mkdir()  # a directory is in the way
    run = project.run("-n1", f"{option}=there")
    assert run.code == 0 and run.has_line(r"^phalanx: .*cannot write .*there: "), str(run)
    assert [path.name for path in project.path.glob("there*")] == ["there"]


# ---- in a browser ----

needs_browser = pytest.mark.skipif(chromium() is None, reason="needs Debian's package chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


def big_page(small: Path, path: Path, count: int) -> list[Any]:
    """The page of a run with `count` tests on eight workers."""
    chance = random.Random(1)
    clock = [0] * 8
    tests = []
    for i in range(count):
        worker = clock.index(min(clock))
        phases = [chance.randrange(1, 3000), chance.randrange(1, 90000), chance.randrange(1, 2000)]
        end = clock[worker] + sum(phases)
        outcome = 2 if i % 100 == 7 else 7 if i % 100 == 50 else 1
        node_id = f"tests/test_{i % 97}.py::test_{i}"
        tests.append(
            [worker, clock[worker], end, *phases, outcome, int(i % 500 == 499), 0, node_id]
        )
        clock[worker] = end
    data = data_of(small)
    data["workers"] = [[w, 0, -1, 0, clock[w], clock[w], count // 8, 1, 0] for w in range(8)]
    data.update(tests=tests, forked=0, ended=max(clock), ran=count, collected=count, parallel=8)
    text = small.read_text()
    head, tail = text.split('type="application/json">')
    path.write_text(
        f'{head}type="application/json">{json.dumps(data)}{tail[tail.index("</script>") :]}'
    )
    return tests


@needs_browser
def test_a_small_page(pictured: tuple[Project, Run], page: Page) -> None:
    page.open(pictured[0].path / "out/run.html")
    assert page.console == []
    assert page.run("document.getElementById('bad').children.length") == 3
    text = page.run("document.body.innerText")
    assert "test_names[</script><!--]" in text and "speedup, of 2" in text
    assert page.run("performance.getEntriesByType('resource').length") == 0  # no network


@needs_browser
@pytest.mark.parametrize("count", [5_000, 50_000])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_big_page(
    pictured: tuple[Project, Run], page: Page, tmp_path: Path, count: int, dark: bool
) -> None:
    tests = big_page(pictured[0].path / "out/run.html", tmp_path / "big.html", count)
    page.open(tmp_path / "big.html", dark=dark)

    def chosen() -> Any:
        return tests[page.run("phalanx.chosen()")]

    page.run("document.getElementById('lanes').focus()")
    page.press("ArrowRight")
    first = chosen()
    page.press("ArrowRight")
    assert chosen()[0] == first[0] and chosen()[1] == first[2]  # the next one on its worker
    page.press("ArrowDown")
    assert chosen()[0] == first[0] + 1
    page.press("f")
    assert chosen()[6] == 2  # a failure
    span = page.run("phalanx.view()[1] - phalanx.view()[0]")
    page.press("+")
    assert page.run("phalanx.view()[1] - phalanx.view()[0]") < span
    page.press("0")
    wide = page.run("phalanx.view()")
    assert wide[0] <= 0 and wide[1] >= tests[-1][2]
    page.mouse("mouseWheel", 700, 330, deltaX=0, deltaY=-400)
    page.run("new Promise(requestAnimationFrame)")
    assert page.run("phalanx.view()[1] - phalanx.view()[0]") < wide[1] - wide[0]
    page.mouse("mouseMoved", 700, 330)
    page.run("new Promise(requestAnimationFrame)")
    assert "::test_" in page.run("document.getElementById('tip').textContent")
    page.press("/")
    for letter in "test_4321":
        page.press(letter)
    assert page.run("document.getElementById('found').textContent").endswith(" found")
    page.press("Enter")
    assert "test_4321" in chosen()[9]
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)")
    colours = page.run(
        "(() => { const c = document.getElementById('lanes'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; const s = new Set();"
        "for (let i = 0; i < d.length; i += 4) s.add(d[i] + ',' + d[i + 1] + ',' + d[i + 2]); return s.size; })()"
    )
    assert colours > 5  # something is drawn
    assert page.console == []
