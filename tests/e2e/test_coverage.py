"""Coverage measured by pytest-cov in workers that die."""

from __future__ import annotations

import json

import pytest
from expected import DIST_MODES
from runner import Project, Run

pytest.importorskip("pytest_cov")

SHOP = """\
def before():
    return 1
def dies():
    import os
    os._exit(1)
def after():
    return 2
def never():
    return 3
"""
TESTS = """
    import shop

    def test_before():
        assert shop.before() == 1

    def test_dies():
        shop.dies()

    def test_after():
        assert shop.after() == 2
"""


def covered(project: Project, run: Run) -> list[int]:
    assert (project.path / "cov.json").exists(), str(run)
    data = json.loads((project.path / "cov.json").read_text())
    lines: list[int] = data["files"]["shop.py"]["executed_lines"]
    return lines


MODES = [(f"--dist={dist}",) for dist in DIST_MODES]
MODES += [("--start-method=spawn",), ("--cov-context=test",)]


@pytest.mark.parametrize("mode", MODES, ids=" ".join)
def test_lines_of_tests_before_a_crash_are_kept(project: Project, mode: tuple[str, ...]) -> None:
    """B35. Which worker has died is pytest-cov's to say; the lines of the test that died with it are lost."""
    project.write({"shop.py": SHOP, "test_shop.py": TESTS})
    cov = ("-ppytest_cov", "--cov=shop", "--cov-report=json:cov.json")
    run = project.run("-n1", *mode, *cov)
    assert run.counts == {"passed": 2, "failed": 1}, str(run)
    definitions, before, after = [1, 3, 6, 8], 2, 7
    assert covered(project, run) == sorted([*definitions, before, after]), str(run)
    assert run.has_line("failed to return coverage data") and run.has_line("^gw0$"), str(run)


@pytest.mark.parametrize("start", ["auto", "spawn"])
def test_lines_of_workers_that_have_ended_survive_a_replacement(
    project: Project, start: str
) -> None:
    """One that is started anew takes nothing away that others have measured."""
    dies = """
        import os, shop, time

        def test_dies():
            deadline = time.monotonic() + 60
            while not [name for name in os.listdir() if name.startswith("ended")]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            shop.dies()

        def test_after(): assert shop.after() == 2
    """
    conftest = """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_unconfigure(config):
            if hasattr(config, "workerinput"):
                open("ended" + config.workerinput["workerid"], "w").close()
    """
    other = "import shop\ndef test_before(): assert shop.before() == 1\n"
    project.write({"shop.py": SHOP, "test_a.py": dies, "test_b.py": other, "conftest.py": conftest})
    cov = ("-ppytest_cov", "--cov=shop", "--cov-report=json:cov.json")
    run = project.run("-n2", "--dist=loadfile", f"--start-method={start}", *cov)
    assert run.counts == {"passed": 2, "failed": 1}, str(run)
    assert covered(project, run) == [1, 2, 3, 6, 7, 8], str(run)
