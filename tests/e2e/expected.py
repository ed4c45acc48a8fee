"""The one table of expected outcomes: suites, and what every run of them must report.

Each suite is run sequentially and in every distributed mode (test_outcomes.py); whatever the mode, each node
id has exactly these outcomes, as pytest counts them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

DIST_MODES = ("load", "loadscope", "loadfile", "loadgroup", "worksteal")

#: name → arguments. The sequential run is the oracle of the oracle: the table must hold for it as well.
MODES: dict[str, tuple[str, ...]] = {"sequential": ()}
for _number, _modes in ((1, ("load", "loadscope")), (2, DIST_MODES), (4, DIST_MODES)):
    for _dist in _modes:
        MODES[f"n{_number}-{_dist}"] = (f"-n{_number}", f"--dist={_dist}")


@dataclasses.dataclass(frozen=True)
class Suite:
    files: dict[str, str]
    #: node id → its outcomes, separated by blanks
    outcomes: dict[str, str]
    code: int
    args: tuple[str, ...] = ()
    #: collectors that did not pass
    collect: tuple[tuple[str, str], ...] = ()
    #: node id → captured sections that must be exactly these
    sections: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    #: (category, message, node id) of every warning
    warnings: tuple[tuple[str, str, str], ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        counts = Counter(word for words in self.outcomes.values() for word in words.split())
        counts.update("error" for _, outcome in self.collect if outcome == "failed")
        counts.update("skipped" for _, outcome in self.collect if outcome == "skipped")
        if self.warnings:
            counts["warning"] = len(self.warnings)
        return dict(counts)


SUITES: dict[str, Suite] = {}

SUITES["green"] = Suite(
    files={
        "test_one.py": """
            import pytest

            @pytest.mark.parametrize("number", range(7))
            def test_many(number):
                assert number >= 0
        """,
        "test_two.py": """
            class TestA:
                def test_x(self): pass
                def test_y(self): pass

            class TestB:
                def test_x(self): pass
        """,
    },
    outcomes={
        **{f"test_one.py::test_many[{number}]": "passed" for number in range(7)},
        "test_two.py::TestA::test_x": "passed",
        "test_two.py::TestA::test_y": "passed",
        "test_two.py::TestB::test_x": "passed",
    },
    code=0,
)

SUITES["hooks that fail"] = Suite(
    files={
        "conftest.py": """
            import pytest

            def pytest_runtest_setup(item):
                assert "bad_setup" not in item.name

            def pytest_runtest_call(item):
                assert "bad_call" not in item.name

            @pytest.hookimpl(trylast=True)
            def pytest_runtest_teardown(item):
                assert "bad_teardown" not in item.name
        """,
        "test_hooks.py": """
            def test_bad_setup(): pass
            def test_bad_call(): pass
            def test_bad_teardown(): pass
            def test_good(): pass
        """,
    },
    outcomes={
        "test_hooks.py::test_bad_setup": "error",
        "test_hooks.py::test_bad_call": "failed",
        "test_hooks.py::test_bad_teardown": "error passed",
        "test_hooks.py::test_good": "passed",
    },
    code=1,
)

SUITES["kinds"] = Suite(
    files={
        "pytest.ini": "[pytest]\njunit_family = xunit1\n",
        "test_kinds.py": """
            import pytest

            @pytest.fixture
            def broken_setup():
                raise RuntimeError("no set-up")

            @pytest.fixture
            def broken_teardown():
                yield
                raise RuntimeError("no teardown")

            def test_pass(): pass
            def test_fail(): assert [1, 2] == [1, 3], "with a message"
            def test_raise(): raise ValueError("raised")
            def test_no_trace(): pytest.fail("without a trace", pytrace=False)
            def test_system_exit(): raise SystemExit(3)
            def test_setup_error(broken_setup): pass
            def test_teardown_error(broken_teardown): pass
            def test_fail_and_teardown_error(broken_teardown): assert False
            def test_missing_fixture(nobody_has_this): pass

            @pytest.mark.skip(reason="by mark")
            def test_skip_mark(): assert False

            @pytest.mark.skipif("1 == 1", reason="by condition")
            def test_skip_if(): assert False

            def test_skip_inside(): pytest.skip("inside")
            def test_import_or_skip(): pytest.importorskip("no_such_module_anywhere")

            @pytest.mark.xfail(reason="known")
            def test_xfail(): assert False

            def test_xfail_inside(): pytest.xfail("inside")

            @pytest.mark.xfail(reason="it works")
            def test_xpass(): pass

            @pytest.mark.xfail(strict=True, reason="it must not work")
            def test_xpass_strict(): pass

            @pytest.mark.xfail(raises=ValueError)
            def test_xfail_other_error(): raise TypeError("another one")

            @pytest.mark.xfail(run=False)
            def test_xfail_not_run(): assert False

            def test_property(record_property):
                record_property("number", 7)

            def test_long_message():
                raise KeyError("a" * 300)
        """,
        "test_whole_module.py": """
            import pytest
            pytest.skip("as a whole", allow_module_level=True)
        """,
    },
    outcomes={
        f"test_kinds.py::{name}": outcome
        for name, outcome in {
            "test_pass": "passed",
            "test_fail": "failed",
            "test_raise": "failed",
            "test_no_trace": "failed",
            "test_system_exit": "failed",
            "test_setup_error": "error",
            "test_teardown_error": "error passed",
            "test_fail_and_teardown_error": "error failed",
            "test_missing_fixture": "error",
            "test_skip_mark": "skipped",
            "test_skip_if": "skipped",
            "test_skip_inside": "skipped",
            "test_import_or_skip": "skipped",
            "test_xfail": "xfailed",
            "test_xfail_inside": "xfailed",
            "test_xpass": "xpassed",
            "test_xpass_strict": "failed",
            "test_xfail_other_error": "failed",
            "test_xfail_not_run": "xfailed",
            "test_property": "passed",
            "test_long_message": "failed",
        }.items()
    },
    code=1,
    collect=(("test_whole_module.py", "skipped"),),
)

SUITES["names"] = Suite(
    files={
        "conftest.py": """
            import pytest

            class Item(pytest.Item):
                def runtest(self):
                    assert self.path.exists()

            class File(pytest.File):
                def collect(self):
                    for name in ("twin", "twin", "twin"):
                        yield Item.from_parent(self, name=name)

            def pytest_collect_file(parent, file_path):
                if file_path.suffix == ".twins":
                    return File.from_parent(parent, path=file_path)
        """,
        "three.twins": "",
        "test_names.py": r"""
            import pytest

            IDS = ["a::b", "[x]", "]", "with space", "é", "日本", "a/b", "%s{}", "-k", "a\\b", "@g", "\n", "\udc80"]

            @pytest.mark.parametrize("value", IDS)
            def test_plain(value): pass

            @pytest.mark.parametrize("value", range(len(IDS)), ids=IDS)
            def test_given(value): pass

            @pytest.mark.parametrize("value", [1, 1, 1], ids=["same", "same", "other"])
            def test_same(value): pass

            @pytest.mark.parametrize("value", [""])
            def test_empty(value): assert False

            @pytest.mark.xdist_group("g")
            def test_in_group(): pass

            @pytest.mark.xdist_group(name="g")
            @pytest.mark.parametrize("value", ["a@b", "@"])
            def test_group_and_ids(value): assert value == "@"

            def test_ünïcode(): pass
        """,
        "a dir/sub [x]/test_odd name.py": """
            class TestÄ:
                def test_m(self): pass
                class TestInner:
                    def test_m(self): assert 0
        """,
    },
    outcomes={
        "three.twins::twin": "passed passed passed",
        **{
            f"test_names.py::{function}[{text}]": "passed"
            for function in ("test_plain", "test_given")
            for text in (
                "a::b",
                "[x]",
                "]",
                "with space",
                r"\xe9",
                r"\u65e5\u672c",
                "a/b",
                "%s{}",
                "-k",
                r"a\\b",
                "@g",
                r"\n",
                r"\udc80",
            )
        },
        "test_names.py::test_same[same0]": "passed",
        "test_names.py::test_same[same1]": "passed",
        "test_names.py::test_same[other]": "passed",
        "test_names.py::test_empty[]": "failed",
        "test_names.py::test_in_group": "passed",
        "test_names.py::test_group_and_ids[a@b]": "failed",
        "test_names.py::test_group_and_ids[@]": "passed",
        "test_names.py::test_ünïcode": "passed",
        "a dir/sub [x]/test_odd name.py::TestÄ::test_m": "passed",
        "a dir/sub [x]/test_odd name.py::TestÄ::TestInner::test_m": "failed",
    },
    code=1,
)

SUITES["styles"] = Suite(
    files={
        "test_unittest.py": """
            import unittest

            def setUpModule():
                global ready
                ready = True

            class TestCase(unittest.TestCase):
                @classmethod
                def setUpClass(cls):
                    assert ready
                    cls.shared = []

                def setUp(self):
                    self.shared.append(1)

                def test_pass(self):
                    self.assertTrue(self.shared)

                def test_fail(self):
                    self.assertEqual(1, 2)

                @unittest.skip("by unittest")
                def test_skip(self): pass

                @unittest.expectedFailure
                def test_expected(self): self.fail()

                @unittest.expectedFailure
                def test_unexpected(self): pass

            class TestBroken(unittest.TestCase):
                @classmethod
                def setUpClass(cls):
                    raise RuntimeError("no class")

                def test_one(self): pass

            class TestAsync(unittest.IsolatedAsyncioTestCase):
                async def test_await(self): pass
        """,
        "test_xunit.py": """
            calls = []
            def setup_module(): calls.append("module")
            def setup_function(): calls.append("function")

            def test_function(): assert "module" in calls and calls[-1] == "function"

            class TestX:
                def setup_class(cls): cls.state = ["class"]
                def setup_method(self): self.state.append("method")
                def test_a(self): assert self.state[0] == "class"
                def test_b(self): assert self.state[-1] == "method"

            class TestTornDownBadly:
                def test_c(self): pass
                def teardown_class(cls): raise RuntimeError("no teardown")
        """,
        "doc.py": '''
            def double(x):
                """
                >>> double(2)
                4
                """
                return 2 * x

            def wrong():
                """
                >>> 1 + 1
                3
                """
        ''',
        "test_text.txt": """
            >>> 1 + 1
            2
        """,
        "sub/conftest.py": """
            import pytest

            @pytest.fixture(scope="module")
            def place(): return "sub"

            def pytest_collection_modifyitems(items):
                for item in items:
                    if item.name == "test_marked":
                        item.add_marker("xfail")
        """,
        "conftest.py": """
            import pytest

            made = []

            @pytest.fixture(scope="session")
            def session_thing():
                made.append("session")
                yield len(made)

            @pytest.fixture(scope="module")
            def place(session_thing): return "top"

            @pytest.fixture(scope="class", params=["p", "q"])
            def parameter(request): return request.param
        """,
        "sub/test_sub_place.py": """
            def test_place(place, session_thing):
                assert place == "sub" and session_thing == 1

            def test_marked(): pass
        """,
        "test_place.py": """
            def test_place(place): assert place == "top"

            class TestParameter:
                def test_a(self, parameter): assert parameter in "pq"
                def test_b(self, parameter, place): assert parameter == "q"
        """,
    },
    args=("--doctest-modules",),
    outcomes={
        "test_unittest.py::TestCase::test_pass": "passed",
        "test_unittest.py::TestCase::test_fail": "failed",
        "test_unittest.py::TestCase::test_skip": "skipped",
        "test_unittest.py::TestCase::test_expected": "xfailed",
        "test_unittest.py::TestCase::test_unexpected": "failed",
        "test_unittest.py::TestBroken::test_one": "error",
        "test_unittest.py::TestAsync::test_await": "passed",
        "test_xunit.py::test_function": "passed",
        "test_xunit.py::TestX::test_a": "passed",
        "test_xunit.py::TestX::test_b": "passed",
        "test_xunit.py::TestTornDownBadly::test_c": "error passed",
        "doc.py::doc.double": "passed",
        "doc.py::doc.wrong": "failed",
        "test_text.txt::test_text.txt": "passed",
        "sub/test_sub_place.py::test_place": "passed",
        "sub/test_sub_place.py::test_marked": "xpassed",
        "test_place.py::test_place": "passed",
        "test_place.py::TestParameter::test_a[p]": "passed",
        "test_place.py::TestParameter::test_a[q]": "passed",
        "test_place.py::TestParameter::test_b[p]": "failed",
        "test_place.py::TestParameter::test_b[q]": "passed",
    },
    code=1,
)

_NUMBERS = range(12)

SUITES["output"] = Suite(
    files={
        "test_output.py": """
            import logging
            import os
            import sys
            import pytest

            @pytest.fixture
            def loud(request):
                print("setup", request.node.name)
                yield
                print("teardown", request.node.name, file=sys.stderr)

            @pytest.mark.parametrize("number", range(12))
            def test_loud(loud, number):
                print("call", number)
                os.write(1, b"descriptor %d\\n" % number)
                os.system("echo child %d" % number)
                print("error", number, file=sys.stderr)
                logging.getLogger("suite").warning("record %d", number)
                assert number % 2

            def test_silent(): assert False

            def test_much():
                print("x" * 300_000)
                assert False

            def test_bytes():
                os.write(1, b"\\xff\\xfe")
                assert False
        """,
    },
    outcomes={
        **{
            f"test_output.py::test_loud[{number}]": "passed" if number % 2 else "failed"
            for number in _NUMBERS
        },
        "test_output.py::test_silent": "failed",
        "test_output.py::test_much": "failed",
        "test_output.py::test_bytes": "failed",
    },
    code=1,
    sections={
        **{
            f"test_output.py::test_loud[{number}]": {
                "Captured stdout setup": f"setup test_loud[{number}]\n",
                "Captured stdout call": f"call {number}\ndescriptor {number}\nchild {number}\n",
                "Captured stderr call": f"error {number}\n",
                "Captured log call": f"WARNING  suite:test_output.py:19 record {number}",
                "Captured stderr teardown": f"teardown test_loud[{number}]\n",
            }
            for number in _NUMBERS
        },
        "test_output.py::test_silent": {},
        "test_output.py::test_much": {"Captured stdout call": "x" * 300_000 + "\n"},
        "test_output.py::test_bytes": {"Captured stdout call": "\ufffd\ufffd"},
    },
)

SUITES["warnings"] = Suite(
    files={
        "test_warnings.py": """
            import warnings
            import pytest

            class OwnWarning(UserWarning):
                def __init__(self, text, more):
                    super().__init__(text)

            warnings.warn("at import", DeprecationWarning)

            @pytest.mark.parametrize("number", range(4))
            def test_warns(number):
                warnings.warn(f"in test {number}")

            @pytest.fixture
            def fixture(): warnings.warn("in set-up", FutureWarning)

            def test_set_up(fixture): pass

            def test_own():
                warnings.warn(OwnWarning("own", 2))

            @pytest.mark.no_such_mark
            def test_mark(): pass
        """,
    },
    outcomes={
        **{f"test_warnings.py::test_warns[{number}]": "passed" for number in range(4)},
        "test_warnings.py::test_set_up": "passed",
        "test_warnings.py::test_own": "passed",
        "test_warnings.py::test_mark": "passed",
    },
    code=0,
    warnings=(
        ("DeprecationWarning", "at import", ""),
        *(
            ("UserWarning", f"in test {number}", f"test_warnings.py::test_warns[{number}]")
            for number in range(4)
        ),
        ("FutureWarning", "in set-up", "test_warnings.py::test_set_up"),
        ("OwnWarning", "own", "test_warnings.py::test_own"),
        (
            "PytestUnknownMarkWarning",
            "Unknown pytest.mark.no_such_mark - is this a typo?  You can register custom marks to avoid this"
            " warning - for details, see https://docs.pytest.org/en/stable/how-to/mark.html",
            "",
        ),
    ),
)

SUITES["broken file"] = Suite(
    files={
        "test_broken.py": "import no_such_module_anywhere\n",
        "test_fine.py": "def test_fine(): pass\n",
    },
    outcomes={},
    code=2,
    collect=(("test_broken.py", "failed"),),
)

SUITES["broken file, go on"] = Suite(
    files=SUITES["broken file"].files,
    outcomes={"test_fine.py::test_fine": "passed"},
    code=1,
    collect=(("test_broken.py", "failed"),),
    args=("--continue-on-collection-errors",),
)

SUITES["nothing"] = Suite(files={"test_empty.py": "x = 1\n"}, outcomes={}, code=5)

SUITES["all deselected"] = Suite(
    files=SUITES["green"].files, outcomes={}, code=5, args=("-k", "nothing_is_called_so")
)

SUITES["pytest's fixtures"] = Suite(
    files={
        "pytest.ini": "[pytest]\npytester_example_dir = .\n",
        "conftest.py": "pytest_plugins = ['pytester']\n",
        "test_builtin.py": """
            import logging, os, subprocess, sys, warnings
            import pytest

            @pytest.mark.parametrize("number", range(3))
            def test_capfd(capfd, number):
                os.write(1, b"one\\n")
                subprocess.run(["echo", "two"])
                print("three", file=sys.stderr)
                out, err = capfd.readouterr()
                assert (out, err) == ("one\\ntwo\\n", "three\\n")
                print("left")
                assert number != 1

            def test_capsys(capsys):
                print("one")
                with capsys.disabled(): print("seen by nobody in a worker")
                assert capsys.readouterr().out == "one\\n"

            def test_capfdbinary(capfdbinary):
                os.write(1, b"\\xff")
                assert capfdbinary.readouterr().out == b"\\xff"

            def test_caplog(caplog):
                logging.getLogger().error("one")
                assert caplog.messages == ["one"]

            def test_recwarn(recwarn):
                warnings.warn("kept")
                assert len(recwarn) == 1

            def test_monkeypatch(monkeypatch, tmp_path):
                monkeypatch.setenv("A", "1")
                monkeypatch.chdir(tmp_path)
                monkeypatch.setattr(os, "getcwd", lambda: "/nowhere")
                assert os.getcwd() == "/nowhere"

            def test_cache(cache):
                cache.set("own/value", [1])
                assert cache.get("own/value", None) == [1]

            def test_config(pytestconfig, request):
                assert pytestconfig is request.config and pytestconfig.rootpath.exists()

            def test_tmpdir_factory(tmpdir, tmp_path_factory):
                assert str(tmpdir).startswith(str(tmp_path_factory.getbasetemp()))

            def test_inner_run(pytester):
                pytester.makepyfile("def test_x(): pass\\ndef test_y(): assert 0")
                result = pytester.runpytest("-p", "no:cacheprovider")
                result.assert_outcomes(passed=1, failed=1)

            def test_inner_distributed_run(pytester):
                pytester.makepyfile("def test_x(worker_id): assert worker_id[:2] == 'gw'")
                result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n2")
                result.assert_outcomes(passed=1)
        """,
    },
    outcomes={
        "test_builtin.py::test_capfd[0]": "passed",
        "test_builtin.py::test_capfd[1]": "failed",
        "test_builtin.py::test_capfd[2]": "passed",
        **{
            f"test_builtin.py::test_{name}": "passed"
            for name in (
                "capsys",
                "capfdbinary",
                "caplog",
                "recwarn",
                "monkeypatch",
                "config",
                "tmpdir_factory",
                "inner_run",
                "inner_distributed_run",
            )
        },
        "test_builtin.py::test_cache": "error",  # all suites run without the cache's plugin
    },
    sections={"test_builtin.py::test_capfd[1]": {"Captured stdout call": "left\n"}},
    code=1,
)

if int(pytest.__version__.partition(".")[0]) >= 9:
    SUITES["subtests"] = Suite(
        files={
            "test_subtests.py": """
                import unittest

                def test_sub(subtests):
                    for number in range(4):
                        with subtests.test("part", number=number):
                            assert number % 2

                def test_sub_pass(subtests):
                    with subtests.test(msg="fine"): pass

                class TestSub(unittest.TestCase):
                    def test_parts(self):
                        for number in range(3):
                            with self.subTest(number=number):
                                self.assertNotEqual(number, 1)
            """,
        },
        outcomes={
            "test_subtests.py::test_sub": "failed failed failed",
            "test_subtests.py::test_sub_pass": "passed",
            "test_subtests.py::TestSub::test_parts": "failed passed",
        },
        code=1,
    )
