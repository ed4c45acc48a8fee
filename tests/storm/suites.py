"""Random suites for differential.py: what pytest lets people write, with outcomes that do not depend on the
order of the tests or on the process that runs them."""

from __future__ import annotations

import random
from collections.abc import Callable

# Bodies of tests; {n} is a number of their own. Each is indented as a whole by its user.
PLAIN = [
    (20, "pass"),
    (6, "assert {n} == {n} + 1"),
    (3, "assert [{n}, 2, 3] == [{n}, 2, 4], 'with words'"),
    (3, "print('out {n}'); print('err {n}', file=sys.stderr)"),
    (2, "print('out {n}'); assert not 'printed before'"),
    (2, "logging.getLogger('some').warning('log %d', {n})"),
    (2, "logging.getLogger('some').error('log %d', {n}); raise ValueError({n})"),
    (2, "warnings.warn('user {n}')"),
    (1, "warnings.warn('old {n}', DeprecationWarning)"),
    (2, "pytest.skip('skipped {n}')"),
    (1, "pytest.xfail('expected {n}')"),
    (1, "pytest.fail('no trace {n}', pytrace=False)"),
    (1, "pytest.importorskip('no_such_module_{n}')"),
    (1, "raise SystemExit({n})"),
    (1, "raise Odd({n})"),
    (1, "raise Broken({n})"),
    (
        1,
        "try:\n    raise ValueError({n})\nexcept ValueError as error:\n    raise KeyError('of it') from error",
    ),
    (1, "def deep(): deep()\ndeep()"),
    (1, "os.write(1, b'descriptor {n}\\n')"),
    (1, "print('\\udcff lone \\x00 \\x1b[31mred\\x1b[0m {n}'); assert 0"),
    (1, "raise AssertionError('\\udcff ü {n} \\x01')"),
    (1, "async def inner(): return {n}\nimport asyncio; assert asyncio.run(inner()) == {n}"),
    (1, "return {n} or None"),
]
# With a fixture of pytest's own, or of the suite's conftest.
FIXTURES = [
    (3, "record_property", "record_property('key', {n}); record_property('key', 'again')"),
    (1, "record_xml_attribute", "record_xml_attribute('assertions', '{n}')"),
    (1, "record_testsuite_property", "record_testsuite_property('suite', 1)"),
    (
        2,
        "capsys",
        "print('caught'); assert capsys.readouterr().out == 'caught\\n'; print('kept {n}')",
    ),
    (1, "capfd", "os.system('echo caught'); assert capfd.readouterr().out == 'caught\\n'"),
    (
        2,
        "caplog",
        "logging.getLogger().warning('caught {n}'); assert caplog.messages == ['caught {n}']",
    ),
    (
        2,
        "tmp_path",
        "(tmp_path / 'a').write_text('{n}'); assert len(list(tmp_path.iterdir())) == 1",
    ),
    (1, "tmp_path_factory", "assert tmp_path_factory.mktemp('x').is_dir()"),
    (2, "monkeypatch", "monkeypatch.setenv('SOME_{n}', '1'); assert os.environ['SOME_{n}'] == '1'"),
    (1, "request", "request.node.add_report_section('call', 'own', 'section {n}')"),
    (1, "request", "request.node.user_properties.append(('tuple', ({n}, None, 1.5)))"),
    (1, "request", "request.applymarker(pytest.mark.xfail(reason='late {n}')); assert 0"),
    (1, "request", "request.addfinalizer(lambda: 1 // 0)"),
    (1, "request", "request.getfixturevalue('of_module'); assert {n} % 2"),
    (1, "recwarn", "warnings.warn('seen {n}'); assert len(recwarn) == 1"),
    (2, "of_session", "assert of_session == 'session'"),
    (2, "of_module", "assert of_module == 'module'"),
    (1, "of_class", "assert of_class == 'class'"),
    (2, "fails_in_setup", "pass"),
    (1, "fails_in_setup_of_module", "pass"),
    (2, "fails_in_teardown", "pass"),
    (1, "fails_in_teardown", "assert 0, 'and in the call'"),
    (1, "skips_in_setup", "pass"),
    (1, "warns_in_setup", "pass"),
    (1, "prints_in_all_phases", "print('call {n}'); assert {n} % 2"),
    (2, "with_params", "assert with_params != 2"),
    (
        1,
        "with_params, of_module_with_params",
        "assert (with_params, of_module_with_params) != (1, 'b')",
    ),
]
SUBTESTS = (
    2,
    "subtests",
    "for i in range(3):\n    with subtests.test('some', i=i):\n        assert i != {n} % 4",
)
MARKS = [
    (40, ""),
    (3, "@pytest.mark.skip(reason='by mark {n}')"),
    (2, "@pytest.mark.skipif(sys.version_info > (3,), reason='by condition')"),
    (3, "@pytest.mark.xfail"),
    (2, "@pytest.mark.xfail(reason='why {n}', strict=True)"),
    (1, "@pytest.mark.xfail(raises=ZeroDivisionError)"),
    (1, "@pytest.mark.xfail(run=False, reason='not run')"),
    (2, "@pytest.mark.usefixtures('of_session')"),
    (2, "@pytest.mark.xdist_group('group{g}')"),
    (1, "@pytest.mark.xdist_group(name='group{g}')\n@pytest.mark.slow"),
    (3, "@pytest.mark.slow"),
    (1, "@pytest.mark.filterwarnings('error')"),
    (1, "@pytest.mark.filterwarnings('ignore')"),
]
PARAMETERS = [
    ("'a', range(4)", "a"),
    ("'a', ['x', 'x', 'y[]', '']", "a"),
    ("'a', ['ü', '\\u2028', 'a::b', 'a/b']", "a"),
    ("'a', []", "a"),
    ("'a', [None, 1.5, (1, 2), object], ids=str", "a"),
    ("'a, b', [(1, 2), pytest.param(3, 4, marks=pytest.mark.xfail, id='marked')]", "a, b"),
    ("'a', [1, 2], indirect=False, scope='module'", "a"),
    ("'of_param', [1, 2], indirect=True", "of_param"),
]
HEAD = """
import logging, os, sys, unittest, warnings
import pytest

class Odd(Exception):
    def __str__(self): return 'odd'

class Broken(Exception):
    def __repr__(self): raise RuntimeError('no repr')
    __str__ = __repr__
"""
CONFTEST = """
import os, sys, warnings
import pytest

@pytest.fixture(scope="session")
def of_session(): return "session"

@pytest.fixture(scope="module")
def of_module():
    yield "module"

@pytest.fixture(scope="class")
def of_class(): return "class"

@pytest.fixture
def fails_in_setup(): raise ValueError("setup")

@pytest.fixture(scope="module")
def fails_in_setup_of_module(): raise ValueError("setup of module")

@pytest.fixture
def fails_in_teardown():
    yield
    raise ValueError("teardown")

@pytest.fixture
def skips_in_setup(): pytest.skip("in setup")

@pytest.fixture
def warns_in_setup(): warnings.warn("in setup")

@pytest.fixture
def prints_in_all_phases():
    print("setup")
    yield
    print("teardown")

@pytest.fixture(params=[1, 2, 3])
def with_params(request): return request.param

@pytest.fixture(scope="module", params=["a", "b"])
def of_module_with_params(request): return request.param

@pytest.fixture
def of_param(request): return request.param
"""
# Additions to the conftest: weight and text. Those of the second list move the fork point.
HOOKS = [
    "def pytest_collection_modifyitems(items): items.reverse()",
    "def pytest_collection_modifyitems(items): items.sort(key=lambda item: item.name)",
    """def pytest_collection_modifyitems(config, items):
    out = [item for item in items if 'test_3' in item.name]
    items[:] = [item for item in items if item not in out]
    config.hook.pytest_deselected(items=out)""",
    """def pytest_collection_modifyitems(items):
    for item in items[::3]:
        item.add_marker(pytest.mark.skip(reason='by hook'))""",
    """def pytest_generate_tests(metafunc):
    if 'generated' in metafunc.fixturenames:
        metafunc.parametrize('generated', [1, 2, 3])""",
    """@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    report.sections.append(('own', item.name))
    if call.when == 'call' and report.failed and 'test_2' in item.name:
        report.outcome = 'passed'
        report.longrepr = None""",
    """@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report):
    if report.when == 'setup' and report.passed and 'test_4' in report.nodeid:
        return 'odd', 'O', 'ODD'""",
    "def pytest_itemcollected(item): item.user_properties.append(('collected', item.name))",
    "def pytest_make_parametrize_id(val): return 'own' if val == 2 else None",
    "def pytest_terminal_summary(terminalreporter):\n"
    "    terminalreporter.write_line('own summary %d' % len(terminalreporter.stats.get('passed', ())))",
    "def pytest_runtest_setup(item):\n    if 'test_5' in item.name: pytest.skip('by the hook of setup')",
    "@pytest.hookimpl(trylast=True)\n"
    "def pytest_runtest_teardown(item):\n    if 'test_1' in item.name: raise ValueError('by the hook')",
    "@pytest.fixture(autouse=True)\ndef everywhere(request): request.node.user_properties.append(('a', 1))",
]
EARLY = [
    "NAME = os.environ.get('PYTEST_XDIST_WORKER', 'none')",
    "COPY = dict(os.environ)",
    "def pytest_configure(config): config.where = getattr(config, 'workerinput', {}).get('workerid')",
    "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "import subprocess; CHILD = subprocess.Popen(['sleep', '60'], start_new_session=False)\n"
    "import atexit; atexit.register(CHILD.kill)",
    "import tempfile; HOME = tempfile.TemporaryDirectory()",
    "import socket; SOCKET = socket.socket(); SOCKET.bind(('127.0.0.1', 0))",
    "import sqlite3; DATABASE = sqlite3.connect(':memory:')",
]


def indent(text: str, depth: int = 1) -> str:
    return "\n".join("    " * depth + line for line in text.splitlines())


class Maker:
    """Writes one suite; the same numbers come from the same generator."""

    def __init__(self, rng: random.Random, has_subtests: bool) -> None:
        self.rng = rng
        self.number = 0
        self.fixtures = [*FIXTURES, SUBTESTS] if has_subtests else FIXTURES

    def pick(self, weighted: list[tuple]) -> tuple:
        return self.rng.choices(weighted, [entry[0] for entry in weighted])[0]

    def body(self) -> tuple[str, str]:
        """The arguments of a test, and what it does."""
        if self.rng.random() < 0.4:
            _, arguments, text = self.pick(self.fixtures)
        else:
            arguments, text = "", self.pick(PLAIN)[1]
        return arguments, text

    def fill(self, text: str) -> str:
        return text.replace("{n}", str(self.number)).replace("{g}", str(self.number % 3))

    def function(self, is_method: bool = False) -> str:
        self.number += 1
        arguments, text = self.body()
        marks = [self.pick(MARKS)[1]]
        if self.rng.random() < 0.2:
            values, names = self.rng.choice(PARAMETERS)
            if not set(names.split(", ")) & set(arguments.split(", ")):
                marks.append(f"@pytest.mark.parametrize({values})")
                arguments = ", ".join(filter(None, [names, arguments]))
        if is_method:
            arguments = ", ".join(filter(None, ["self", arguments]))
        lines = [*filter(None, marks), f"def test_{self.number}({arguments}):", indent(text)]
        return self.fill("\n".join(lines)) + "\n"

    def classes(self) -> str:
        self.number += 1
        odd = {
            0: "    @classmethod\n    def setup_class(cls): cls.value = 1\n",
            1: "    @classmethod\n    def setup_class(cls): raise ValueError('of the class')\n",
        }.get(self.rng.randrange(9), "")
        tests = [indent(self.function(is_method=True)) for _ in range(self.rng.randint(1, 4))]
        return f"class Test{self.number}:\n{odd}" + "\n".join(tests) + "\n"

    def unittest(self) -> str:
        self.number += 1
        return self.fill(
            "class Case{n}(unittest.TestCase):\n"
            "    def setUp(self): self.addCleanup(print, 'cleanup')\n"
            "    def test_good(self): self.assertEqual(1, 1)\n"
            "    def test_bad(self): self.assertEqual(1, {n} + 1)\n"
            "    @unittest.skip('why')\n    def test_skipped(self): pass\n"
            "    @unittest.expectedFailure\n    def test_expected(self): self.fail()\n"
            "    @unittest.expectedFailure\n    def test_unexpected(self): pass\n"
        )

    def module(self) -> str:
        kinds: list[Callable[[], str]] = [self.function] * 6 + [self.classes] * 2 + [self.unittest]
        parts = [self.rng.choice(kinds)() for _ in range(self.rng.randint(1, 8))]
        head = HEAD
        draw = self.rng.random()
        if draw < 0.05:
            head += "pytestmark = pytest.mark.slow\n"
        elif draw < 0.08:
            head += "def setup_module(): raise ValueError('of the module')\n"
        elif draw < 0.12:
            head += "pytest.skip('the whole module', allow_module_level=True)\n"
        elif draw < 0.17:
            head += "warnings.warn('at import')\n"
        return head + "\n".join(parts)

    def files(self) -> dict[str, str]:
        conftest = CONFTEST
        for text in self.rng.sample(HOOKS, self.rng.choice([0, 0, 1, 2])):
            conftest += "\n" + text + "\n"
        if self.rng.random() < 0.25:
            conftest += "\n" + self.rng.choice(EARLY) + "\n"
        files = {
            "conftest.py": conftest,
            "pytest.ini": "[pytest]\nmarkers =\n    slow: x\n    xdist_group: x\n",
        }
        for count in range(self.rng.randint(1, 5)):
            folder = self.rng.choice(["", "", "sub/", "package/", "package/deep/"])
            if "package" in folder:
                files["package/__init__.py"] = files[f"{folder}__init__.py"] = ""
            files[f"{folder}test_m{count}.py"] = self.module()
        if self.rng.random() < 0.15:
            files["test_broken.py"] = self.rng.choice(
                ["import no_such_module\n", "def test_a(:\n", "raise ValueError('at import')\n"]
            )
        if self.rng.random() < 0.15:
            files["test_text.txt"] = "Some.\n\n>>> 1 + 1\n2\n>>> 1 + 1\n3\n"
        return files
