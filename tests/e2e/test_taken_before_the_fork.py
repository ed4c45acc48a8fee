"""What a suite and its plugins may hold when workers are forked: random generators, locks, what code in C has
taken, errors that nobody has
told of; and what becomes of it."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from runner import Project


def files(text: str, count: int = 2) -> dict[str, str]:
    """The same file several times: with --dist=loadfile each worker runs at least one."""
    return {f"test_{number}.py": text for number in range(count)}


BY_FILE = ("-n2", "--dist=loadfile")

# ---- random generators ----

DRAWS = """
    import conftest, pytest

    @pytest.mark.parametrize("number", range(3))
    def test_draw(number, worker_id):
        with open("log", "a") as file:
            file.write(f"{worker_id} {conftest.draw()}\\n")
"""
GENERATORS = {
    "a generator": ("import random\ngenerator = random.Random()\ndraw = generator.random\n", False),
    "a generator with a seed": (
        "import random\ngenerator = random.Random(42)\ndraw = generator.random\n",
        True,
    ),
    "a generator seeded later": (
        "import random\ngenerator = random.Random()\ngenerator.seed('x')\ndraw = generator.random\n",
        True,
    ),
    "a generator with a state": (
        "import random\ngenerator = random.Random()\n"
        "generator.setstate(random.Random(1).getstate())\ndraw = generator.random\n",
        True,
    ),
    "a generator whose seed is taken back": (
        "import random\ngenerator = random.Random(42)\ngenerator.seed()\ndraw = generator.random\n",
        False,
    ),
    "a subclass": (
        "import random\nclass Own(random.Random): __slots__ = ()\n"
        "generator = Own()\ndraw = generator.random\n",
        False,
    ),
    "numpy's own": ("import numpy.random\ndraw = numpy.random.random\n", False),
    "numpy's own with a seed": (
        "import numpy.random\nnumpy.random.seed(42)\ndraw = numpy.random.random\n",
        True,
    ),
    "a generator of numpy": (
        "import numpy.random\ngenerator = numpy.random.default_rng()\ndraw = generator.random\n",
        False,
    ),
    "a generator of numpy with a long seed": (
        "import numpy.random\ngenerator = numpy.random.default_rng(2**127 + 1)\ndraw = generator.random\n",
        True,
    ),
    "a state of numpy": (
        "import numpy.random\ngenerator = numpy.random.RandomState()\ndraw = generator.random_sample\n",
        False,
    ),
    "faker": (
        "from faker import Faker\nfake = Faker()\ndraw = lambda: fake.pyfloat(min_value=0, max_value=1)\n",
        False,
    ),
    "faker with a seed": (
        "from faker import Faker\nFaker.seed(42)\nfake = Faker()\n"
        "draw = lambda: fake.pyfloat(min_value=0, max_value=1)\n",
        True,
    ),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_generators(project: Project, kind: str) -> None:
    """One that somebody seeded goes on from there in each worker; others draw something else in each."""
    conftest, is_seeded = GENERATORS[kind]
    for library in ("numpy", "faker"):
        if library in conftest:
            pytest.importorskip(library)
    project.write({"conftest.py": conftest, **files(DRAWS)})
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 6} and "forked after collection" in run.lines, str(run)
    drawn: dict[str, list[str]] = {}
    for line in project.log():
        worker, number = line.split()
        drawn.setdefault(worker, []).append(number)
    first, second = drawn.values()
    common = min(len(first), len(second))
    if is_seeded:
        assert first[:common] == second[:common]
    else:
        assert not set(first) & set(second)


# ---- locks ----

TELL = """
    import conftest, pytest

    @pytest.mark.parametrize("number", range(2))
    def test_tell(number, worker_id):
        with open("log", "a") as file:
            file.write(f"{worker_id} {conftest.told()}\\n")
"""


def test_a_file_lock_has_one_owner(project: Project) -> None:
    """The open file of a lock that was taken before a fork would be everybody's."""
    project.write(
        {
            "conftest.py": """
                import fcntl

                file = open("lock", "w")
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    is_owner = True
                except OSError:
                    is_owner = False

                def told(): return is_owner

                def pytest_configure(config):  # the controller's own
                    if not hasattr(config, "workerinput"): file.close()
            """,
            **files(TELL),
        }
    )
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 4}, str(run)
    assert run.has_line("^forked at conftest.py:6, which locks a file"), str(run)
    assert sorted(line.split()[1] for line in set(project.log())) == ["False", "True"]


def test_a_file_locked_by_code_in_c(project: Project) -> None:
    project.write(
        {
            "conftest.py": """
                import ctypes, os

                fd = os.open("lock", os.O_CREAT | os.O_RDWR)
                is_owner = ctypes.CDLL(None).flock(fd, 2 | 4) == 0

                def told(): return is_owner

                def pytest_configure(config):
                    if not hasattr(config, "workerinput"): os.close(fd)
            """,
            **files(TELL),
        }
    )
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 4}, str(run)
    assert run.has_line("^spawned: something locked the file .*/lock$"), str(run)
    assert sorted(line.split()[1] for line in set(project.log())) == ["False", "True"]


def test_a_lock_of_processes_is_not_shared(project: Project) -> None:
    """A worker that died with it would stop all others."""
    project.write(
        {
            "conftest.py": "import multiprocessing\nlock = multiprocessing.Lock()\n",
            "test_it.py": """
                import os, time
                import conftest, pytest

                @pytest.mark.parametrize("number", range(4))
                def test_it(number):
                    assert conftest.lock.acquire(timeout=120)
                    time.sleep(0.05)
                    if number == 0:
                        os._exit(1)
                    conftest.lock.release()
            """,
        }
    )
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 3, "failed": 1}, str(run)
    assert run.has_line("^forked at conftest.py:2, which makes a lock of processes"), str(run)


# ---- what code in C takes, which no trap sees ----

IN_C = {
    "a socket": (
        "import ctypes\nfd = ctypes.CDLL(None).socket(1, 1, 0)\n",
        "something opened a socket",
    ),
    "a loop": ("import select\npoll = select.epoll()\n", "something made an event loop"),
    "a pipe": ("import os\nends = os.pipe()\n", "something opened a pipe"),
    "a child": (
        "import _posixsubprocess, ctypes, os, signal\n"
        "libc = ctypes.CDLL(None)\n"
        "pid, name = ctypes.c_int(), b'/bin/sleep'\n"
        "argv = (ctypes.c_char_p * 3)(name, b'60', None)\n"
        "assert libc.posix_spawn(ctypes.byref(pid), name, None, None, argv, None) == 0\n"
        "def pytest_unconfigure():\n"
        "    os.kill(pid.value, signal.SIGKILL)\n"
        "    os.waitpid(pid.value, 0)\n",
        "something started a process that still runs (/bin/sleep 60)",
    ),
    "a thread": (
        "import _thread, time\n_thread.start_new_thread(time.sleep, (60,))\n",
        "conftest.py started a thread",
    ),
}


@pytest.mark.parametrize("kind", IN_C)
def test_taken_by_code_in_c(project: Project, kind: str) -> None:
    """Found before the fork; the process that has it becomes gw0, and gw1 takes one of its own."""
    conftest, cause = IN_C[kind]
    project.write({"conftest.py": conftest, **files(DRAWS.replace("conftest.draw()", "1"))})
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 6} and run.workers == {"gw0", "gw1"}, str(run)
    assert any(line.startswith(f"spawned: {cause}") for line in run.lines), str(run)


OWN_LIBRARY = """
#include <pthread.h>
#include <unistd.h>

static pthread_t thread;
static volatile int stopping;

static void *run(void *arg)
{
    while (!stopping)
        usleep(1000);
    return arg;
}

static void stop(void)
{
    stopping = 1;
    pthread_join(thread, 0);
}

int start(int is_fork_safe)
{
    if (is_fork_safe)
        pthread_atfork(stop, 0, 0);
    return pthread_create(&thread, 0, run, 0);
}
"""


def build(project: Project, source: str, *options: str) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    project.write({"own.c": source})
    command = [compiler, "-shared", "-fPIC", "-O0", *options, "-o", "own.so", "own.c", "-pthread"]
    subprocess.run(command, cwd=project.path, check=True, timeout=180)


@pytest.mark.parametrize("is_fork_safe", [True, False])
def test_threads_of_a_library(project: Project, is_fork_safe: bool) -> None:
    """A pool that its library stops before a fork, as OpenBLAS does, is in nobody's way; another one is."""
    build(project, OWN_LIBRARY)
    project.write(
        {
            "conftest.py": f"import ctypes\nassert not ctypes.CDLL('./own.so').start({int(is_fork_safe)})\n",
            **files(DRAWS.replace("conftest.draw()", "1")),
        }
    )
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 6}, str(run)
    line = "^forked after collection" if is_fork_safe else "^spawned: conftest.py started a thread"
    assert run.has_line(line), str(run)


OPENMP = """
int start(int unused)
{
    int sum = 0;
    #pragma omp parallel for reduction(+ : sum) num_threads(3)
    for (int i = 0; i < 1000; i++)
        sum += 1;
    return sum != 1000;
}
"""


def test_a_region_of_openmp(project: Project) -> None:
    """Its threads stay, and a region in a forked process would wait for them for ever."""
    build(project, OPENMP, "-fopenmp")
    load = "import ctypes\nown = ctypes.CDLL('./own.so')\nassert not own.start(0)\n"
    test = "import conftest\ndef test_it(): assert not conftest.own.start(0)\n"
    project.write({"conftest.py": load, **files(test)})
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 2} and run.workers == {"gw0", "gw1"}, str(run)
    assert run.has_line("^spawned: conftest.py started a thread"), str(run)


def test_numpy_is_forked_after_collection(project: Project) -> None:
    pytest.importorskip("numpy")
    project.write(
        {
            "conftest.py": "import numpy\nnumpy.ones((300, 300)) @ numpy.ones((300, 300))\n",
            "test_it.py": """
                import numpy, pytest

                @pytest.mark.parametrize("number", range(4))
                def test_it(number):
                    assert (numpy.ones((300, 300)) @ numpy.ones((300, 300)))[0, 0] == 300
            """,
        }
    )
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 4} and "forked after collection" in run.lines, str(run)


# ---- another thread gets there first ----


def test_a_thread_reads_who_it_is(project: Project) -> None:
    """It cannot be forked from: the process becomes gw0, while its main thread waits until that is so."""
    project.write(
        {
            "conftest.py": """
                import _thread, os

                done = _thread.allocate_lock()
                done.acquire()

                def read():
                    global name
                    name = os.environ.get("PYTEST_XDIST_WORKER", "master")
                    done.release()

                _thread.start_new_thread(read, ())

                def told():
                    with done:
                        return name
            """,
            **files(TELL),
        }
    )
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 4} and run.workers == {"gw0", "gw1"}, str(run)
    assert run.has_line(
        "^spawned: conftest.py:9 reads PYTEST_XDIST_WORKER in a thread of its own"
    ), str(run)
    assert set(project.log()) == {"gw0 gw0", "gw1 gw1"}


def test_a_thread_reads_who_it_is_while_tests_are_collected(project: Project) -> None:
    """What the main thread has to say of its collection waits until the process is a worker."""
    project.write(
        {
            "conftest.py": """
                import os, threading

                threading.Thread(target=lambda: os.environ["PYTEST_XDIST_WORKER"]).start()
            """,
            **files("def test_it(): pass", 150),
        }
    )
    run = project.run("-n2", together=2)
    assert run.counts == {"passed": 150} and run.workers == {"gw0", "gw1"}, str(run)
    assert not run.has_line("node down"), str(run)


# ---- errors that nobody has told of yet ----


def test_a_finalizer_that_raises_is_told_once(project: Project) -> None:
    """What the collector finds before the fork is nothing of the workers'."""
    project.write(
        {
            "conftest.py": """
                class Thing:
                    def __init__(self): self.itself = self
                    def __del__(self): raise ValueError("of a finalizer")

                def pytest_collection_finish(session):
                    if hasattr(session.config, "workerinput"): Thing()
            """,
            **files("def test_it(): pass\ndef test_more(): pass\n", 3),
        }
    )
    run = project.run("-n3", "--dist=loadfile")
    assert run.counts.get("passed") == 6 and run.workers == {"gw0", "gw1", "gw2"}, str(run)
    told = [text for _, text, _ in run.warnings if "of a finalizer" in text]
    assert len(told) + run.err.count("ValueError: of a finalizer") == 1, str(run)


# ---- what is done once at the end ----


def test_pastebin_is_sent_once(project: Project) -> None:
    project.write(
        {
            "conftest.py": """
                import _pytest.pastebin

                def create_new_paste(contents):
                    with open("log", "ab") as file:
                        file.write(b"sent\\n")
                    return "somewhere"

                _pytest.pastebin.create_new_paste = create_new_paste
            """,
            **files(DRAWS.replace("conftest.draw()", "1").replace('"log"', '"drawn"')),
        }
    )
    run = project.run(*BY_FILE, "--pastebin=all")
    assert run.counts["passed"] == 6 and "forked after collection" in run.lines, str(run)
    assert project.log() == ["sent"]


# ---- fixtures that a plugin sets up before any test ----

EARLY_SETUP = """
    import os, pytest

    def pytest_collection_finish(session):
        item, stack = session.items[0], session._setupstate.stack
        stack[session] = ([session.teardown], None)
        stack[item] = ([], None)
        item._request.getfixturevalue("resource")
        del stack[item]
        item._initrequest()
        {forget}

    @pytest.fixture(scope="session")
    def resource():
        owner = os.getpid()
        yield owner
        with open("torn down", "a") as file:
            file.write(f"{{os.getpid() == owner}}\\n")
"""
USES_RESOURCE = """
    import os

    def test_is_of_this_process(resource):
        assert resource == os.getpid()
"""


@pytest.mark.parametrize(
    ("forget", "torn_down"),
    [("", ["True", "True"]), ("stack.clear()", [])],
    ids=["with its teardown", "the value alone"],
)
def test_a_fixture_set_up_while_collecting(
    project: Project, forget: str, torn_down: list[str]
) -> None:
    """Who has set it up has it, and nobody else: a worker forked from there would have its value, and tear it
    down once more. (Who forgets the teardown has none, with workers and without.)"""
    project.write({"conftest.py": EARLY_SETUP.format(forget=forget), **files(USES_RESOURCE)})
    assert project.run("-n0").counts == {"passed": 2}
    log = project.path / "torn down"
    log.unlink(missing_ok=True)
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 2} and run.code == 0, str(run)
    assert run.has_line(r"spawned: something set up the fixture 'resource' \(conftest\.py:\d+\)")
    assert (log.read_text().split() if log.exists() else []) == torn_down


def test_a_collector_set_up_while_collecting(project: Project) -> None:
    """pytest's stack of what is set up is not empty: likewise."""
    project.write(
        {
            "conftest.py": """
                import os

                def pytest_collection_finish(session):
                    owner = os.getpid()
                    session._setupstate.stack[session] = ([session.teardown], None)
                    session._setupstate.addfinalizer(lambda: note(owner), session)

                def note(owner):
                    with open("torn down", "a") as file:
                        file.write(f"{os.getpid() == owner}\\n")
            """,
            **files("def test_it(): pass\n"),
        }
    )
    run = project.run(*BY_FILE)
    assert run.counts == {"passed": 2} and run.code == 0, str(run)
    assert run.has_line("spawned: something set up the session before any test")
    assert (project.path / "torn down").read_text().split() == ["True", "True"]
