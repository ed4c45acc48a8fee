"""What processes that were forked from one another could get wrong: shared files, seeds, exit handlers."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import TIMEOUT_S, Project, Run

NUMBERS = range(40)


@pytest.fixture(scope="module")
def busy(new_project: Callable[..., Project]) -> Run:
    project = new_project(
        {
            "test_a.py": """
                import os, subprocess, sys
                import pytest

                @pytest.mark.parametrize("number", range(40))
                def test_prints(number):
                    for part in range(20):
                        print(f"out {number} {part} " + "x" * 200)
                        os.write(2, f"err {number} {part}\\n".encode())
                    subprocess.run(["echo", f"child {number}"])
            """
        }
    )
    return project.run("-n4", "-p", "no:cacheprovider", together=4)


def test_output_is_not_mixed(busy: Run) -> None:
    assert busy.counts == {"passed": 40} and len(busy.workers) == 4
    for number in NUMBERS:
        sections = busy.sections_of(f"test_a.py::test_prints[{number}]")
        out = "".join(f"out {number} {part} {'x' * 200}\n" for part in range(20))
        err = "".join(f"err {number} {part}\n" for part in range(20))
        assert sections == {
            "Captured stdout call": f"{out}child {number}\n",
            "Captured stderr call": err,
        }


@pytest.mark.parametrize(
    "options",
    [("-s",), ("--capture=sys",), ("--capture=tee-sys",), ("--capture=no",)],
    ids=" ".join,
)
def test_other_captures(project: Project, options: tuple[str, ...]) -> None:
    project.write(
        {
            "test_a.py": """
                import sys, pytest

                @pytest.mark.parametrize("number", range(6))
                def test_prints(number):
                    print("out", number)
                    print("error", number, file=sys.stderr)
                    assert number != 5
            """
        }
    )
    run = project.run("-n2", *options)
    assert run.counts == {"passed": 5, "failed": 1}, str(run)
    sections = run.sections_of("test_a.py::test_prints[5]")
    if "s" in options[0][1:2] or options[0].endswith("=no"):
        assert sections == {}
        for number in range(6):
            assert f"error {number}" in run.err
    else:
        assert sections["Captured stdout call"] == "out 5\n"


CHECKS = {
    "conftest.py": """
        import atexit, gc, os, random, sys, tempfile, threading, weakref

        def note(name, text):
            fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(fd, (text + "\\n").encode())
            os.close(fd)

        is_worker = "PYTEST_XDIST_WORKER" in os.environ
        if is_worker:
            atexit.register(note, "atexit", "conftest")

            class Thing: pass
            thing = Thing()
            weakref.finalize(thing, note, "finalize", "conftest")

            buffered = open("buffered", "w")
            buffered.write("once\\n")
            buffered_bytes = open("buffered bytes", "wb")
            buffered_bytes.write(b"once\\n")
            print("written to stdout by conftest")

            directory = tempfile.TemporaryDirectory(dir=os.getcwd())
            note("directory", directory.name)

        def pytest_sessionfinish():
            if is_worker:
                note("at finish", f"{os.environ['PYTEST_XDIST_WORKER']} {os.path.isdir(directory.name)}")
    """,
    "test_checks.py": """
        import atexit, faulthandler, json, os, random, select, signal, sys, threading, uuid, weakref
        import pytest
        import conftest

        class Thing: pass
        kept = []

        @pytest.fixture(scope="session")
        def facts(worker_id):
            found = {
                "argv": sys.argv,
                "stdin_tty": os.isatty(0),
                "stdin": os.read(0, 10).decode(),
                "uuid": str(uuid.uuid4()),
                "random": random.random(),
                "threads": threading.active_count(),
                "pid": os.getpid(),
                "parent": os.getppid(),
                "group": os.getpgid(0),
                "main": __import__("__main__").__spec__ is None,
                "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
                "sigterm": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
                "faulthandler": faulthandler.is_enabled(),
                "terminalreporter": True,
                "worker": worker_id,
            }
            atexit.register(conftest.note, "atexit", worker_id)
            thing = Thing()
            kept.append(thing)
            weakref.finalize(thing, conftest.note, "finalize", worker_id)
            conftest.note("facts", json.dumps(found))

        @pytest.mark.parametrize("number", range(12))
        def test_facts(facts, number, tmp_path, worker_id):
            assert os.path.isdir(conftest.directory.name)
            conftest.note("paths", f"{worker_id} {tmp_path}")

        @pytest.mark.parametrize("number", range(4))
        def test_shared_directory(tmp_path_factory, number, worker_id):
            base = tmp_path_factory.getbasetemp()
            assert base.name == f"popen-{worker_id}"
            (base.parent / "shared").mkdir(exist_ok=True)
            assert tmp_path_factory.mktemp("made").parent == base

        def test_traps_are_gone():
            import socket
            assert type(os.environ).__module__ == "os"
            assert socket.socket.__init__.__module__ == "socket"
            assert threading.Thread.start.__module__ == "threading"
            assert random.seed.__self__ is random._inst
    """,
}


class Checked:
    def __init__(self, project: Project, run: Run) -> None:
        self.project = project
        self.run = run
        self.facts = [json.loads(line) for line in project.log("facts")]

    def one_each(self, name: str) -> list[object]:
        return [facts[name] for facts in self.facts]


@pytest.fixture(scope="module")
def checked(new_project: Callable[..., Project]) -> Checked:
    project = new_project(CHECKS)
    run = project.run("-n2", "-p", "no:cacheprovider", together=2)
    assert run.counts == {"passed": 17} and run.code == 0, str(run)
    assert run.workers == {"gw0", "gw1"}
    return Checked(project, run)


def test_looks_like_a_worker_of_xdist(checked: Checked) -> None:
    assert checked.one_each("argv") == [["-c"], ["-c"]]
    assert checked.one_each("main") == [True, True]
    assert checked.one_each("threads") == [1, 1]


def test_stdin(checked: Checked) -> None:
    assert checked.one_each("stdin_tty") == [False, False]
    assert checked.one_each("stdin") == ["", ""]


def test_processes(checked: Checked) -> None:
    assert len(set(checked.one_each("pid"))) == 2
    assert len(set(checked.one_each("parent"))) == 1
    assert checked.one_each("group") == checked.one_each("pid")


def test_signals(checked: Checked) -> None:
    assert checked.one_each("sigint") == checked.one_each("sigterm") == [True, True]
    assert checked.one_each("faulthandler") == [True, True]


def test_unseeded_generators_differ(checked: Checked) -> None:
    assert len(set(checked.one_each("random"))) == 2
    assert len(set(checked.one_each("uuid"))) == 2


@pytest.mark.parametrize("name", ["atexit", "finalize"])
def test_exit_handlers_run_where_they_belong(checked: Checked, name: str) -> None:
    """Registered before the fork: once, when the last worker is gone; in a worker: there."""
    lines = checked.project.log(name)
    assert Counter(lines) == {"conftest": 1, "gw0": 1, "gw1": 1}
    assert lines[-1] == "conftest"


def test_open_writers_are_flushed_once(checked: Checked) -> None:
    assert checked.project.log("buffered") == ["once"]
    assert checked.project.log("buffered bytes") == ["once"]


@pytest.mark.parametrize("finalizer", [False, True])
def test_writers_of_the_controller_are_flushed(project: Project, finalizer: bool) -> None:
    """The controller takes what it holds out of the collector's sight: a file that nobody closes,
    held by a cycle, is written all the same, and a finalizer that does more than that runs."""
    project.write(
        {
            "conftest.py": """
                import os

                class Archive:
                    def __init__(self):
                        self.fd = os.open("kept-open.end", os.O_WRONLY | os.O_CREAT)

                    def __del__(self, write=os.write):
                        write(self.fd, b"ended")

                def pytest_configure(config):
                    if not hasattr(config, "workerinput"):
                        config.kept_open = open("kept-open.txt", "w")
                        if "FINALIZER" in os.environ:
                            config.kept_archive = Archive()

                def pytest_sessionfinish(session):
                    if not hasattr(session.config, "workerinput"):
                        session.config.kept_open.write("written")
            """,
            "test_many.py": """
                import pytest

                @pytest.mark.parametrize("number", range(20))
                def test_one(number):
                    pass
            """,
        }
    )
    run = project.run("-n2", env={"FINALIZER": "1"} if finalizer else {})
    assert run.counts == {"passed": 20}, str(run)
    assert project.path.joinpath("kept-open.txt").read_text() == "written"
    if finalizer:
        assert project.path.joinpath("kept-open.end").read_text() == "ended"


def test_only_a_run_of_its_own_program_sets_aside(project: Project) -> None:
    """A run inside of a test leaves the objects of its host to the collector."""
    project.write(
        {
            "conftest.py": """
                import gc

                BEFORE = gc.get_freeze_count()  # CPython 3.12 freezes some at its own start

                def pytest_unconfigure(config):
                    if not hasattr(config, "workerinput"):
                        with open("frozen", "a") as file:
                            print(gc.get_freeze_count() > BEFORE + 1000, file=file)
            """,
            "test_outer.py": """
                import gc
                import pytest

                def test_inner(tmp_path):
                    inner = tmp_path / "test_inner.py"
                    inner.write_text("def test_it(): pass")
                    before = gc.get_freeze_count()
                    assert pytest.main(["-n2", "-p", "no:cacheprovider", str(inner)]) == 0
                    assert gc.get_freeze_count() <= before  # some of them may be gone
            """,
        }
    )
    assert project.run().counts == {"passed": 1}
    assert project.run("-n2").counts == {"passed": 1}
    assert project.log("frozen") == ["False", "True"]


def test_temporary_directory_of_the_conftest(checked: Checked) -> None:
    assert sorted(checked.project.log("at finish")) == ["gw0 True", "gw1 True"]
    directories = checked.project.log(
        "directory"
    )  # made after the fork, as it is where workers part
    assert len(set(directories)) == 2
    assert not any(Path(directory).exists() for directory in directories)


def test_tmp_path(checked: Checked) -> None:
    assert checked.run.basetemp.joinpath("shared").is_dir()
    for line in checked.project.log("paths"):
        worker, path = line.split(" ", 1)
        assert Path(path).parent == checked.run.basetemp / f"popen-{worker}"
        assert Path(path).is_dir()


def test_default_basetemp(project: Project, tmp_path: Path) -> None:
    project.write(
        {
            "test_a.py": "def test_a(tmp_path, worker_id): assert tmp_path.parent.name == f'popen-{worker_id}'\n"
        }
    )
    temp = tmp_path / "temp"
    temp.mkdir()
    run = project.run("-n2", basetemp=False, env={"TMPDIR": str(temp)})
    assert run.counts == {"passed": 1}, str(run)
    assert len(list(temp.glob("pytest-of-*/pytest-0/popen-gw*/test_a0"))) == 1


def test_collection_can_use_the_temporary_directory(project: Project) -> None:
    """Taken before the fork, in the zygote: workers still get directories of their own."""
    project.write(
        {
            "conftest.py": """
                def pytest_collection_modifyitems(config):
                    if hasattr(config, "workerinput"):
                        config.early = config._tmp_path_factory.mktemp("early")
                        (config.early / "file").write_text("kept")
            """,
            "test_a.py": """
                import pytest
                @pytest.mark.parametrize("n", range(6))
                def test_a(n, tmp_path, worker_id, request):
                    assert tmp_path.parent.name == f"popen-{worker_id}"
                    assert (request.config.early / "file").read_text() == "kept"
            """,
        }
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 6}, str(run)


SEEDED = {
    "test_a.py": """
        import random
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_draw(number, worker_id):
            with open("log", "a") as file: file.write(f"{worker_id} {random.random()}\\n")
    """
}


def draws(project: Project) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in project.log():
        worker, number = line.split()
        found.setdefault(worker, []).append(float(number))
    return found


@pytest.mark.parametrize(
    "seeding",
    ["random.seed(42)", "random.seed(a=42)", "random.setstate(random.Random(42).getstate())"],
)
def test_seeded_generator_is_the_same_in_each_worker(project: Project, seeding: str) -> None:
    import random

    project.write({**SEEDED, "conftest.py": f"import random\n{seeding}\n"})
    assert project.run("-n2", together=2).counts == {"passed": 4}
    own = random.Random(42)
    sequence = [own.random() for _ in range(4)]
    assert len(draws(project)) == 2
    for numbers in draws(project).values():
        assert numbers == sequence[: len(numbers)]


def test_seed_without_a_value_differs(project: Project) -> None:
    project.write({**SEEDED, "conftest.py": "import random\nrandom.seed(42)\nrandom.seed()\n"})
    assert project.run("-n2", together=2).counts == {"passed": 4}
    numbers = [number for each in draws(project).values() for number in each]
    assert len(set(numbers)) == 4


def test_numpy(project: Project) -> None:
    pytest.importorskip("numpy")
    project.write(
        {
            "test_a.py": SEEDED["test_a.py"].replace("random.random()", "numpy.random.random()"),
            "conftest.py": "import numpy\n",
        }
    )
    project.write({"test_a.py": "import numpy\n" + (project.path / "test_a.py").read_text()})
    assert project.run("-n2", together=2).counts == {"passed": 4}
    numbers = [number for each in draws(project).values() for number in each]
    assert len(set(numbers)) == 4


def test_controller_imports_no_test_module(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import os, warnings
                with open("log", "a") as file: file.write("imported\\n")
                class OwnWarning(UserWarning): pass
                def test_a(): warnings.warn(OwnWarning("own"))
                def test_b(): pass
            """,
        }
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 2, "warning": 1}, str(run)
    assert project.log() == ["imported"]


def test_collected_once(project: Project) -> None:
    project.write(
        {
            "conftest.py": "with open('log', 'a') as file: file.write('conftest\\n')\n",
            "sub/conftest.py": "with open('log', 'a') as file: file.write('sub\\n')\n",
            "sub/test_a.py": "with open('log', 'a') as file: file.write('module\\n')\ndef test_a(): pass\n",
        }
    )
    assert project.run("-n4").counts == {"passed": 1}
    # Conftest files on the command line's way: the controller's pytest reads those, too.
    assert Counter(project.log()) == {"conftest": 2, "sub": 1, "module": 1}


def test_thread_that_goes_on(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import threading, time

                def slow():
                    time.sleep(1)
                    with open("log", "a") as file: file.write("thread ended\\n")

                def test_a(): threading.Thread(target=slow).start()
                def test_b(): pass
            """
        }
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 2} and run.code == 0, str(run)
    assert project.log() == ["thread ended"]


def test_thread_that_outlives_the_grace(project: Project) -> None:
    """Waited for, for --exit-grace, and then the worker is ended: no hang, and the thread is named (B30). With
    the usual 9 s it would write its line."""
    project.write(
        {
            "test_a.py": """
                import threading, time

                def slow():
                    time.sleep(8)
                    open("log", "w").write("ended\\n")

                def test_a(): threading.Thread(target=slow, name='sleeper').start()
            """
        }
    )
    run = project.run("-n1", "--exit-grace=0")
    assert run.counts == {"passed": 1} and run.code == 0, str(run)
    assert "a test left thread 'sleeper' running" in run.err, str(run)
    assert "killed" not in run.out and project.log() == [], str(run)


def test_thread_pool_left_open(project: Project) -> None:
    """Its idle threads are not daemons, but end when the interpreter does: nobody waits for them in vain."""
    project.write(
        {
            "test_a.py": """
                from concurrent.futures import ThreadPoolExecutor
                pool = ThreadPoolExecutor(2)
                def test_a(): assert pool.submit(int).result() == 0
            """
        }
    )
    run = project.run("-n1")
    assert run.counts == {"passed": 1} and run.code == 0, str(run)
    assert "killed" not in run.out


def test_daemon_thread(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import threading, time
                def test_a(): threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
            """
        }
    )
    assert project.run("-n1").counts == {"passed": 1}


def test_pytest_inside_a_test(project: Project) -> None:
    """Nothing of the outer run's identity, queue or traps reaches a run inside a test."""
    project.write(
        {
            "inner/test_inner.py": "def test_x(worker_id): pass\ndef test_y(worker_id): pass\n",
            "test_outer.py": """
                import os, subprocess, sys
                import pytest

                def test_process():
                    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
                    done = subprocess.run(
                        [sys.executable, "-m", "pytest", "-n2", "-p", "no:cacheprovider", "inner"],
                        capture_output=True, text=True, env=env)
                    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr

                def test_in_process():
                    assert pytest.main(["-p", "no:cacheprovider", "inner"]) == 0

                def test_in_process_distributed():
                    assert pytest.main(["-p", "no:cacheprovider", "-n2", "inner"]) == 0
            """,
        }
    )
    run = project.run("-n2", "test_outer.py")
    assert run.counts == {"passed": 3}, str(run)


def test_pytest_in_a_thread(project: Project) -> None:
    project.write(
        {
            "test_a.py": "def test_a(worker_id): assert worker_id != 'master'\ndef test_b(): pass\n",
            "start.py": """
                import threading, pytest
                codes = []
                thread = threading.Thread(target=lambda: codes.append(pytest.main(["-n2", "-p", "no:cacheprovider"])))
                thread.start()
                thread.join()
                assert codes == [0], codes
                assert pytest.main(["-n2", "-p", "no:cacheprovider"]) == 0
            """,
            "test_start.py": """
                import subprocess, sys
                def test_start():
                    done = subprocess.run([sys.executable, "start.py"], capture_output=True, text=True)
                    assert done.returncode == 0, done.stdout + done.stderr
                    assert done.stdout.count("2 passed") == 2
            """,
        }
    )
    (project.path / "test_start.py").rename(project.path / "start_test.txt")
    import subprocess
    import sys

    from runner import clean_environment

    done = subprocess.run(
        [sys.executable, "start.py"],
        cwd=project.path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=clean_environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall("2 passed", done.stdout)) == 2


def test_log_file(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import logging, pytest
                @pytest.mark.parametrize("number", range(8))
                def test_log(number): logging.getLogger().error("line %d", number)
            """
        }
    )
    run = project.run("-n2", "--log-file=lines", "--log-file-format=%(message)s")
    assert run.counts == {"passed": 8}, str(run)
    assert sorted(project.log("lines")) == [f"line {number}" for number in range(8)]


def test_values_of_any_kind_in_reports(project: Project) -> None:
    """What cannot cross crosses as its repr: never a lost test (B1, B2)."""
    project.write(
        {
            "test_a.py": """
                import pytest

                class Odd:
                    def __repr__(self): raise RuntimeError("not even a repr")

                @pytest.mark.parametrize("number", range(20))
                def test_a(number, record_property):
                    if number % 5 == 0:
                        record_property("value", [Odd, object(), {1: (2, {3})}, b"\\xff", 10**40, 1j, "\\udc80"])

                def test_b(request):
                    request.node.user_properties.append(("odd", Odd()))
            """,
            "conftest.py": """
                import pytest

                @pytest.hookimpl(wrapper=True)
                def pytest_runtest_makereport(item, call):
                    report = yield
                    report.own = {("a", 1): {1, 2}, "generator": (x for x in ())}
                    return report
            """,
        }
    )
    run = project.run("-n2", "-o", "junit_family=xunit1")
    assert run.counts["passed"] == 21 and run.counts["warning"] >= 5, str(run)
    assert run.code == 0 and len(run.outcomes) == 21
    assert run.has_line("cannot cross to the controller")


def test_testsuite_property(project: Project) -> None:
    """A session fixture's property is in the XML once (B21)."""
    project.write(
        {
            "test_a.py": """
                import pytest
                @pytest.fixture(scope="session", autouse=True)
                def told(record_testsuite_property): record_testsuite_property("key", "value")
                @pytest.mark.parametrize("number", range(4))
                def test_a(number): pass
            """
        }
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 4}
    assert run.xml.read_text().count('<property name="key" value="value"') == 1


def test_testsuite_properties_that_differ(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import pytest
                @pytest.fixture(scope="session", autouse=True)
                def told(record_testsuite_property, worker_id):
                    record_testsuite_property("worker", worker_id)
                    record_testsuite_property("number", 3)
                @pytest.mark.parametrize("number", range(40))
                def test_a(number): pass
            """
        }
    )
    run = project.run("-n2", "--dist=loadgroup")
    properties = [
        (found.get("name"), found.get("value"))
        for found in ElementTree.parse(run.xml).iter("property")
    ]
    assert sorted(properties) == [("number", "3"), ("worker", "gw0"), ("worker", "gw1")]


def test_what_one_worker_says_twice_is_written_twice(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import pytest
                @pytest.mark.parametrize("number", range(2))
                def test_a(number, record_testsuite_property):
                    record_testsuite_property("again", "yes")
            """
        }
    )
    run = project.run("-n1")
    assert run.xml.read_text().count('<property name="again" value="yes"') == 2


def test_properties_of_a_case_by_the_writer(project: Project) -> None:
    """A conftest that asks for the file's writer itself finds one in a worker."""
    project.write(
        {
            "test_a.py": """
                from _pytest.junitxml import xml_key
                def test_a(request):
                    case = request.config.stash[xml_key].node_reporter(request.node.nodeid)
                    case.add_property("colour", "red")
            """
        }
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 1}, str(run)
    assert run.xml.read_text().count('<property name="colour" value="red"') == 1


def test_garbage_of_the_collection_can_be_collected(project: Project) -> None:
    """It is not frozen with what the workers share."""
    project.write(
        {
            "test_a.py": """
                import gc, weakref
                class Node: pass
                node = Node()
                node.itself = node
                reference = weakref.ref(node)
                others = [[number] for number in range(5_000)]
                del node
                def test_a():
                    gc.collect()
                    assert reference() is None
            """
        }
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 1}, str(run)


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_attributes_and_warnings_of_the_xml_fixtures(project: Project, family: str) -> None:
    """As in a sequential run, where the fixtures warn of a family that has no such attribute."""
    project.write(
        {
            "test_a.py": """
                import pytest
                @pytest.mark.parametrize("number", range(4))
                def test_a(number, record_xml_attribute):
                    record_xml_attribute("assertions", number)
                    assert number != 3
            """
        }
    )
    option = f"-ojunit_family={family}"
    sequential = project.run("-p", "no:xdist", "-p", "no:phalanx", option)
    run = project.run("-n2", option)
    assert run.counts == sequential.counts

    def attributes(run: Run) -> list[tuple[str | None, str | None]]:
        cases = ElementTree.parse(run.xml).iter("testcase")
        return sorted((case.get("name"), case.get("assertions")) for case in cases)

    assert attributes(run) == attributes(sequential)
    assert attributes(run)[3] == ("test_a[3]", "3" if family == "xunit1" else None)


def test_testsuite_property_without_a_name(project: Project) -> None:
    project.write(
        {"test_a.py": "def test_a(record_testsuite_property): record_testsuite_property(1, 2)\n"}
    )
    run = project.run("-n2")
    assert run.counts == {"failed": 1}
    assert run.has_line("TypeError: name parameter needs to be a string, but int given")
