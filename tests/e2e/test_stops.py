"""What ends a run early, beside the same run without workers: in every mode the same exit status, and no test
with another outcome than there. What stops at a failure may have some more tests behind it, those that other
workers were running."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from expected import DIST_MODES
from runner import Project, Run

SUITE = {
    "test_a.py": """
        import time
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_many(number):
            time.sleep(0.005)
            assert number != 3
    """,
    "test_b.py": """
        import time
        import pytest

        @pytest.fixture(scope="module")
        def module():
            yield

        class TestB:
            def test_x(self, module): pass
            @pytest.mark.xdist_group("group")
            def test_y(self, module): assert 0
            @pytest.mark.xdist_group("group")
            def test_z(self): pass

        @pytest.mark.skip
        def test_skipped(): pass
    """,
}
BROKEN = {"test_broken.py": "import no_such_module\n"}
EMPTY = {"test_a.py": "", "test_b.py": ""}


def hook(head: str, body: str) -> dict[str, str]:
    return {"conftest.py": f"import pytest\n{head}\n    {body}\n"}


@dataclasses.dataclass(frozen=True)
class Stop:
    args: tuple[str, ...] = ()
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    # None: that of the run without workers, which differs between versions of pytest
    code: int | None = 1
    # Everything has to be as without workers; else there may be more or fewer tests.
    same: bool = True
    before: tuple[str, ...] | None = None  # arguments of a sequential run before this one
    says: str = ""


def early(files: dict[str, str], code: int, says: str) -> Stop:
    """A suite that ends its run while tests run."""
    return Stop((), files, code, same=False, says=says)


def session_word(word: str) -> dict[str, str]:
    return hook(
        "@pytest.fixture(autouse=True)\ndef stops(request):",
        f"request.session.{word} = 'somebody wants it'",
    )


STOPS = {
    "nothing": Stop(),
    "first failure": Stop(("-x",), same=False, says="stopping after"),
    "maxfail": Stop(("--maxfail=2",), same=False, says="stopping after"),
    "maxfail of more than there are": Stop(("--maxfail=9",)),
    "last failed": Stop(("--lf",), before=()),
    "failed first": Stop(("--ff",), before=()),
    "new first": Stop(("--nf",), before=()),
    "last failed, first failure": Stop(
        ("--lf", "-x"), before=(), same=False, says="stopping after"
    ),
    "last failed of none": Stop(("--lf", "--lfnf=none"), EMPTY, 5),
    "stepwise": Stop(("--stepwise",), code=2, same=False, says="Test failed"),
    "stepwise, second time": Stop(
        ("--stepwise",), code=2, same=False, before=("--stepwise",), says="Test failed"
    ),
    "set-up only": Stop(("--setup-only",), code=0),
    "set-up plan": Stop(("--setup-plan",), code=0),
    "no test matches": Stop(("-k", "nothing_has_this_name"), code=5),
    "no test at all": Stop((), EMPTY, 5),
    "missing path": Stop(("test_missing.py",), code=4, says="file or directory not found"),
    "missing test": Stop(("test_a.py::test_missing",), code=4, says="not found"),
    "broken module": Stop((), BROKEN, 2, says="1 error during collection"),
    "broken module, continued": Stop(("--continue-on-collection-errors",), BROKEN),
    "broken module, first failure": Stop(("-x",), BROKEN, None),
    "first of two broken modules": Stop(
        ("-x",), {"test_0.py": "import no_such_module\n", **BROKEN}, None
    ),
    "maxfail, broken modules": Stop(
        ("--maxfail=2",), {"test_0.py": "import no_such_module\n", **BROKEN}, None
    ),
    "exit in a test": early(
        {"test_a.py": "import pytest\ndef test_a(): pytest.exit('enough', returncode=7)\n"},
        7,
        "Exit: enough",
    ),
    "exit without a code": early(
        {"test_a.py": "import pytest\ndef test_a(): pytest.exit('enough')\n"}, 2, "Exit: enough"
    ),
    "exit in a fixture": early(
        hook("@pytest.fixture(autouse=True)\ndef ends():", "pytest.exit('enough', returncode=8)"),
        8,
        "Exit: enough",
    ),
    "exit in a hook of a test": early(
        hook("def pytest_runtest_setup(item):", "pytest.exit('enough', returncode=9)"),
        9,
        "Exit: enough",
    ),
    "exit after collection": Stop(
        (),
        hook("def pytest_collection_modifyitems():", "pytest.exit('enough', returncode=10)"),
        10,
        says="enough",
    ),
    "exit of the import of a module": Stop(
        (),
        {"test_c.py": "import pytest\npytest.exit('enough', returncode=11)\n"},
        None,
        says="enough",
    ),
    "the session is to stop": early(session_word("shouldstop"), 2, "somebody wants it"),
    "the session has failed": early(session_word("shouldfail"), 1, "somebody wants it"),
    "internal error of a test's hook": early(
        hook("def pytest_runtest_protocol(item):", "raise RuntimeError('broken hook')"),
        3,
        "RuntimeError: broken hook",
    ),
    "internal error of collection": Stop(
        (),
        hook("def pytest_collection_modifyitems():", "raise RuntimeError('broken hook')"),
        3,
        says="RuntimeError: broken hook",
    ),
}

# What other parallel runners are known to get wrong, so with one worker and with four as well: B3, B16, B17,
# B19, B20, B26 and B27 of the list that test_known_bugs.py is of.
KNOWN_BUGS = (
    "internal error of a test's hook",
    "exit in a test",
    "missing path",
    "broken module",
    "last failed",
    "first failure",
    "stepwise",
)
CASES = [(name, "-n2", dist) for name in STOPS for dist in DIST_MODES]
CASES += [(name, n, dist) for name in KNOWN_BUGS for n in ("-n1", "-n4") for dist in DIST_MODES]

RunStop = Callable[..., Run]


@pytest.fixture(scope="module")
def run_stop(new_project: Callable[..., Project]) -> RunStop:
    sequential: dict[str, Run] = {}

    def start(name: str, *mode: str) -> Run:
        stop = STOPS[name]
        project = new_project({**SUITE, **stop.files})
        if stop.before is not None:
            project.run(*stop.before)
        return project.run(*mode, *stop.args)

    def run(name: str, *mode: str) -> Run:
        if mode:
            return start(name, *mode)
        if name not in sequential:
            sequential[name] = start(name)
        return sequential[name]

    return run


@pytest.mark.parametrize(("name", "number", "dist"), CASES)
def test_stop(run_stop: RunStop, name: str, number: str, dist: str) -> None:
    stop, sequential, run = STOPS[name], run_stop(name), run_stop(name, number, f"--dist={dist}")
    assert sequential.code == stop.code or stop.code is None, str(sequential)
    assert run.code == sequential.code, str(run)
    assert stop.says in run.out + run.err, str(run)
    if stop.same:
        assert run.outcomes == sequential.outcomes, str(run)
        assert run.counts == sequential.counts, str(run)
        assert run.collect_reports == sequential.collect_reports
    else:
        both = run.outcomes.keys() & sequential.outcomes.keys()
        assert {t: run.outcomes[t] for t in both} == {t: sequential.outcomes[t] for t in both}
        if "failed" in sequential.counts:
            assert "failed" in run.counts, str(run)


MODES = [(number, dist) for number in ("-n1", "-n2", "-n4") for dist in DIST_MODES]


@pytest.fixture(scope="module")
def failed_alone(new_project: Callable[..., Project]) -> tuple[Run, Run]:
    project = new_project(SUITE)
    return project.run(), project.run("--lf")


@pytest.mark.parametrize(("number", "dist"), MODES)
def test_what_failed_with_workers_is_found_again(
    project: Project, failed_alone: tuple[Run, Run], number: str, dist: str
) -> None:
    """By --lf, with workers and without, and under its own name in the JUnit file (B20)."""
    project.write(SUITE)
    mode = (number, f"--dist={dist}")
    for run, alone in zip(
        [project.run(*mode), project.run(*mode, "--lf"), project.run("--lf")],
        [*failed_alone, failed_alone[1]],
    ):
        assert run.outcomes == alone.outcomes, str(run)
        assert run.junit() == alone.junit(), str(run)
        assert run.counts == alone.counts and run.code == alone.code == 1, str(run)
