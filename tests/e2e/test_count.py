"""--count: every repetition runs, at the same time as another of its test, and what disagrees is named."""

from __future__ import annotations

import pytest
from runner import Project

KINDS = """
    import unittest
    import pytest

    @pytest.fixture(scope="module")
    def log(): return open("log", "a", buffering=1)

    def test_plain(log, request): log.write(request.node.name + "\\n")

    @pytest.mark.parametrize("p", ["a", "b"])
    def test_with(log, request, p): log.write(request.node.name + "\\n")

    class TestOld(unittest.TestCase):
        def test_method(self): open("log", "a").write("test_method\\n")
"""

# Repetition 2 of test_b fails, and 1 and 3 of test_c; test_d fails always.
MIXED = """
    import os
    import pytest

    def number(request): return int(request.node.name.rpartition("[")[2].partition("-")[0])

    def test_a(): pass
    def test_b(request): assert number(request) != 2
    def test_c(request): assert number(request) % 2 == 0
    def test_d(): assert 0
"""

# Each repetition waits for one of the same test in another process.
MEETING = """
    import os, time
    from pathlib import Path
    import pytest

    @pytest.mark.parametrize("p", range(3))
    def test_meets(p, request):
        name = request.node.name.rpartition("[")[2].rpartition("-")[0].rpartition("-")[0]
        Path(f"here-{name}-{os.getpid()}").touch()
        deadline = time.monotonic() + 60
        while len(list(Path(".").glob(f"here-{name}-*"))) < 2:
            assert time.monotonic() < deadline, "no other repetition runs"
            time.sleep(0.005)
"""

# What pytest-repeat registers.
REPEAT_PLUGIN = """
    import pytest

    def pytest_addoption(parser):
        parser.addoption("--count", action="store", default=1, type=int)
        parser.addoption("--repeat-scope", action="store", default="function", type=str)

    @pytest.fixture
    def __pytest_repeat_step_number(request): return request.param

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(metafunc):
        mark = metafunc.definition.get_closest_marker("repeat")
        count = mark.args[0] if mark else metafunc.config.option.count
        if count > 1:
            metafunc.fixturenames.append("__pytest_repeat_step_number")
            ids = [f"{i + 1}-{count}" for i in range(count)]
            metafunc.parametrize("__pytest_repeat_step_number", range(count), indirect=True, ids=ids)
"""

WAYS = [(), ("-n2",), ("-n2", "--dist=loadfile"), ("-n3", "--dist=loadscope")]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_every_repetition_runs_once(project: Project, way: tuple[str, ...]) -> None:
    project.write({"test_a.py": KINDS})
    run = project.run("--count=3", *way)
    assert run.code == 0, str(run)
    names = ["test_plain[{}-3]", "test_with[a-{}-3]", "test_with[b-{}-3]"]
    names.append("TestOld::test_method[{}-3]")
    assert run.outcomes == {
        f"test_a.py::{name.format(i)}": ["passed"] for name in names for i in (1, 2, 3)
    }
    assert sum(line == "test_method" for line in project.log()) == 3
    assert len(project.log()) == 12
    assert run.junit_totals()["tests"] == "12"


@pytest.mark.parametrize("way", WAYS[:2], ids=" ".join)
def test_disagreement_is_named_with_its_rate(project: Project, way: tuple[str, ...]) -> None:
    project.write({"test_a.py": MIXED})
    run = project.run("--count=4", "--tb=no", *way)
    assert run.code == 1, str(run)
    at = next(i for i, line in enumerate(run.lines) if "repetitions that disagree" in line)
    assert run.lines[at + 1 : at + 4] == [
        "test_a.py::test_c: 2 of 4 failed (50 %): repetitions 1, 3",
        "test_a.py::test_b: 1 of 4 failed (25 %): repetition 2",
        "2 of 4 repeated tests disagree (50 %)",
    ], str(run)


def test_a_crashed_repetition_disagrees(project: Project) -> None:
    project.write(
        {
            "test_a.py": "import os\ndef test_a(request): '[2-3]' in request.node.name and os._exit(1)"
        }
    )
    run = project.run("--count=3", "-n2")
    assert run.has_line(r"^test_a.py::test_a: 1 of 3 failed \(33 %\): repetition 2$"), str(run)


def test_repetitions_run_at_the_same_time_on_different_workers(project: Project) -> None:
    project.write({"test_a.py": MEETING})
    run = project.run("--count=4", "-n2")
    assert run.code == 0, str(run)


def test_repeat_scope_repeats_modules_as_a_whole(project: Project) -> None:
    text = "def test_{0}1(request): open('log', 'a').write(request.node.name + chr(10))\n"
    project.write({"test_a.py": text.format("a") + text.format("b"), "test_c.py": text.format("c")})
    project.run("--count=2", "--repeat-scope=module")
    names = ["test_a1[1-2]", "test_b1[1-2]", "test_a1[2-2]", "test_b1[2-2]"]
    assert project.log() == [*names, "test_c1[1-2]", "test_c1[2-2]"]
    (project.path / "log").unlink()
    project.run("--count=2", "--repeat-scope=session")
    assert [name[5] for name in project.log()] == list("abcabc")


def test_a_wrong_count_is_one_sentence(project: Project) -> None:
    project.write({"test_a.py": "def test_a(): pass"})
    run = project.run("--count=0")
    assert run.code == 4
    assert "--count: takes how often each test runs, 1 or more, not '0'" in run.err, str(run)


def test_a_count_with_a_space_is_no_path(project: Project) -> None:
    """Nor does it keep pytest from the conftest files of `testpaths`, whose options it needs."""
    project.write(
        {
            "pytest.ini": "[pytest]\ntestpaths = tests\n",
            "tests/conftest.py": "def pytest_addoption(parser): parser.addoption('--mine')",
            "tests/test_a.py": "def test_a(): pass",
        }
    )
    run = project.run("--count", "2", "--mine=1")
    assert run.code == 0 and run.counts == {"passed": 2}, str(run)


@pytest.mark.parametrize("place", ["plugin", "conftest"])
@pytest.mark.parametrize("first", ["phalanx", "repeat"])
@pytest.mark.parametrize("way", WAYS[:2], ids=" ".join)
def test_somebody_elses_count_stays_theirs(
    project: Project, place: str, first: str, way: tuple[str, ...]
) -> None:
    """pytest-repeat makes the repetitions, honours its marks, and phalanx tells what they came to."""
    project.write(
        {
            "test_a.py": MIXED.replace("def test_a", "@pytest.mark.repeat(2)\n    def test_a"),
            "conftest.py" if place == "conftest" else "pytest_repeat.py": REPEAT_PLUGIN,
            "pytest.ini": "[pytest]\nmarkers = repeat\n",
        }
    )
    plugins = ["-ppytest_repeat"] if place == "plugin" else []
    if first == "phalanx":
        plugins.insert(0, "-pphalanx")
    run = project.run("--count=4", *plugins, *way)
    assert run.code == 1 and run.counts == {"passed": 7, "failed": 7}, str(run)
    if place == "plugin":
        assert run.has_line("test_b: 1 of 4 failed"), str(run)


def test_a_conftest_may_have_a_count_of_its_own(project: Project) -> None:
    project.write(
        {
            "conftest.py": """
                import pytest
                def pytest_addoption(parser): parser.addoption("--count", default="none")
                @pytest.fixture
                def count(request): return request.config.getoption("--count")
            """,
            "test_a.py": "def test_a(count): assert count == 'many'",
        }
    )
    run = project.run("--count=many", "-n2")
    assert run.code == 0 and run.counts == {"passed": 1}, str(run)
