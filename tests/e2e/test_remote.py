"""Workers on other machines: a real sshd on loopback, keys and host keys made for these tests, real rsync."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from relay import Relay
from runner import MARK, RECORDING, Project, Run, Running, marked_processes, wait_until

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
pytestmark = pytest.mark.skipif(
    not SSHD or not shutil.which("ssh") or not shutil.which("rsync"),
    reason="needs sshd, ssh and rsync: scripts/install_packages.sh remote",
)
PYTHON = f"//python={sys.executable}"
PATIENCE_S = 300.0  # on a machine with dozens of processes for each core


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text().strip()


class Server:
    """An sshd that lets one key in, and a client's configuration with names for it: a and b are machines,
    the others are each wrong in one way. A login there finds an empty home: what somebody's shell does at its
    start (pyenv waits for a minute for a lock that a killed one has left) is none of these tests' business."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "away").mkdir()
        self.port = free_port()
        host_key = make_key(home / "host_key")
        other_key = make_key(home / "other_key")
        (home / "authorized").write_text(make_key(home / "key") + "\n")
        for name, key in (("known", host_key), ("wrongly_known", other_key)):
            (home / name).write_text(f"[127.0.0.1]:{self.port} {key}\n")
        (home / "sshd_config").write_text(f"""
            ListenAddress 127.0.0.1:{self.port}
            HostKey {home}/host_key
            AuthorizedKeysFile {home}/authorized
            PidFile none
            StrictModes no
            UsePAM no
            PasswordAuthentication yes
            KbdInteractiveAuthentication no
            AcceptEnv {MARK} PHALANX_E2E_*
            SetEnv PYTHONPATH={RECORDING} XDG_CACHE_HOME={home}/cache HOME={home}/away
        """)
        self.nobody = socket.socket()  # has a port, which nobody else gets, and does not listen
        self.nobody.bind(("127.0.0.1", 0))
        blocks = {
            "a b": f"Port {self.port}\nIdentityFile {home}/key",
            "refused": f"Port {self.nobody.getsockname()[1]}",
            "stranger": f"Port {self.port}\nUserKnownHostsFile {home}/wrongly_known",
            "locked": f"Port {self.port}\nIdentityFile {home}/other_key",
        }
        common = f"""
            HostName 127.0.0.1
            UserKnownHostsFile {home}/known
            GlobalKnownHostsFile /dev/null
            StrictHostKeyChecking yes
            IdentitiesOnly yes
            IdentityAgent none
            SendEnv {MARK} PHALANX_E2E_*
            LogLevel ERROR
        """
        self.config = home / "ssh_config"
        self.config.write_text(
            "".join(f"Host {k}\n{v}\n" for k, v in blocks.items()) + "Host *\n" + common
        )
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        assert SSHD is not None
        self.log = open(home / "log", "wb")
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(home / "sshd_config")], stderr=self.log
        )
        wait_until(self._listens_or_is_gone, "sshd", PATIENCE_S)

    def _listens_or_is_gone(self) -> bool:
        with socket.socket() as probe:
            listens = probe.connect_ex(("127.0.0.1", self.port)) == 0
        return listens or self.process.poll() is not None

    def refusal(self) -> str:
        """What a plain login says that does not succeed: of this machine, not of phalanx."""
        login = ["ssh", "-F", str(self.config), "-o", "BatchMode=yes", "a", "true"]
        done = subprocess.run(login, capture_output=True, text=True, timeout=PATIENCE_S)
        return "" if done.returncode == 0 else done.stderr + (self.home / "log").read_text()

    def tx(self, name: str, more: str = "") -> str:
        return f"ssh=-F {self.config} {name}{PYTHON}{more}"

    def tx_by(self, relay: Relay) -> str:
        """The machine b, behind a relay; tests find out there that they are far away."""
        options = f"-p {relay.port} -o HostKeyAlias=[127.0.0.1]:{self.port}"
        return f"ssh=-F {self.config} {options} -o SetEnv=PHALANX_E2E_FAR=1 b{PYTHON}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.nobody.close()
        self.log.close()


class PatientProject(Project):
    def run(self, *args: str, timeout: float = PATIENCE_S, **options: Any) -> Run:
        return super().run(*args, timeout=timeout, **options)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return PatientProject(tmp_path / "home")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("ssh"))
    refusal = server.refusal()
    if refusal:
        server.stop()
        pytest.skip(f"sshd lets nobody in on this machine (a locked account?): {refusal}")
    yield server
    server.stop()


MANY = """
    import pytest

    @pytest.mark.parametrize("number", range(30))
    def test_many(number): pass
"""
SUITE = {
    "test_many.py": MANY,
    "test_more.py": """
        import os, warnings, pytest

        @pytest.fixture
        def broken():
            yield
            assert 0, "teardown"

        def test_error(broken): print("said")
        def test_fails(): print("heard"); assert 0
        @pytest.mark.skip
        def test_skipped(): pass
        @pytest.mark.xfail
        def test_expected(): assert 0
        def test_warns(tmp_path, worker_id):
            warnings.warn("careful")
            assert tmp_path.exists() and worker_id == os.environ.get("PYTEST_XDIST_WORKER", "master")
        def test_file(request):
            name = "-it's a \\n \\"file\\" * ?"
            assert (request.config.rootpath / "data" / name).read_text() == "x"
    """,
    'data/-it\'s a \n "file" * ?': "x",
}


def test_two_machines_say_what_one_process_says(project: Project, server: Server) -> None:
    project.write(SUITE)
    expected = project.run()
    assert expected.code == 1
    run = project.run(f"--tx={server.tx('a')}", f"--tx=2*{server.tx('b')}", together=2)
    assert (run.code, run.counts) == (expected.code, expected.counts), run
    assert run.outcomes == expected.outcomes
    assert run.junit() == expected.junit()
    assert [text for _, text, _ in run.warnings] == [text for _, text, _ in expected.warnings]
    assert len(run.workers) > 1
    assert run.sections_of("test_more.py::test_fails") == {"Captured stdout call": "heard\n"}
    assert run.has_line(r"^workers: 1 on a, 2 on b"), run


@pytest.mark.parametrize("dist", ["loadscope", "loadfile", "loadgroup", "worksteal"])
def test_every_way_of_handing_out(project: Project, server: Server, dist: str) -> None:
    project.write({"test_a.py": MANY, "test_b.py": MANY, "test_c.py": MANY})
    run = project.run("--dist", dist, f"--tx={server.tx('a')}", f"--tx={server.tx('b')}")
    assert (run.code, run.counts) == (0, {"passed": 90}), run
    if dist in ("loadscope", "loadfile"):
        homes = {(r["nodeid"].split("::")[0], r["worker"]) for r in run.reports}
        assert len(homes) == 3, run


def test_more_ways_there(project: Project, server: Server, tmp_path: Path) -> None:
    """A shared tree, any command, this machine beside others, one worker for each core there."""
    project.write({"test_many.py": MANY})
    run = project.run(f"--tx={server.tx('a', f'//chdir={project.path}')}", "--no-sync")
    assert (run.code, run.counts) == (0, {"passed": 30}), run
    run = project.run(
        f"--tx=command=env FAR=1{PYTHON}//chdir={tmp_path}/there//workers=auto",
        "--tx=2*popen",
        "-d",
        "--timeline=run.html",
    )
    assert (run.code, run.counts) == (0, {"passed": 30}), run
    data = re.search(
        r'id="data" [^>]*>(.*?)</script>', (project.path / "run.html").read_text(), re.S
    )
    assert data, run
    hosts = {(worker[9], worker[10]) for worker in json.loads(data[1])["workers"]}
    assert hosts == {(0, "env FAR=1"), (1, "this machine")}, hosts
    assert (tmp_path / "there" / "test_many.py").exists()


@pytest.mark.parametrize(
    "conftest",
    [
        "import os\nWHO = os.environ.get('PYTEST_XDIST_WORKER')\n",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(2,), daemon=True).start()\n",
    ],
    ids=["forked-early", "spawned"],
)
def test_workers_that_collect_for_themselves(
    project: Project, server: Server, conftest: str
) -> None:
    project.write({"test_many.py": MANY, "conftest.py": conftest})
    run = project.run(f"--tx=2*{server.tx('a')}", f"--tx={server.tx('b')}")
    assert (run.code, run.counts) == (0, {"passed": 30}), run


@pytest.mark.parametrize("start", ["auto", "spawn"])
def test_coverage_comes_back(project: Project, tmp_path: Path, start: str) -> None:
    """Of several workers in one directory, each of which has measured a part."""
    pytest.importorskip("pytest_cov")
    names = "abcdef"
    shop = "".join(f"def {name}():\n    return {name!r}\n" for name in names)
    tests = "".join(f"def test_{name}():\n    assert shop.{name}()\n" for name in names)
    project.write({"shop/__init__.py": shop, "test_shop.py": "import shop\n" + tests})
    run = project.run(
        f"--tx=3*command=env FAR=1{PYTHON}//chdir={tmp_path}/there",
        f"--tx=command=env FAR=2{PYTHON}//chdir={tmp_path}/farther",
        f"--start-method={start}",
        "-ppytest_cov",
        "--cov=shop",
        "--cov-report=json:cov.json",
    )
    assert (run.code, run.counts) == (0, {"passed": 6}), run
    files = json.loads((project.path / "cov.json").read_text())["files"]
    assert {name: data["summary"]["percent_covered"] for name, data in files.items()} == {
        "shop/__init__.py": 100.0
    }, run
    assert not list(tmp_path.glob("*/.coverage*")), "it was sent, and is removed there"


# ---- what cannot be ----


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("refused", "refused: ssh: connect to host .* Connection refused"),
        ("stranger", "stranger: Host key verification failed.*log in once by hand"),
        ("locked", "locked: .*Permission denied.*phalanx asks for no password"),
    ],
)
def test_a_machine_that_cannot_be_reached(
    project: Project, server: Server, name: str, says: str
) -> None:
    project.write({"test_many.py": MANY})
    run = project.run(f"--tx={server.tx('a')}", f"--tx={server.tx(name)}")
    assert run.code == 4 and not run.reports, run
    assert re.search(says, run.err), run


def test_a_machine_without_phalanx(project: Project, server: Server) -> None:
    project.write({"test_many.py": MANY})
    run = project.run(f"--tx={server.tx('a')} -S")
    assert run.code == 4, run
    assert re.search(
        r"phalanx is missing there: run there: .* -m pip install phalanx==", run.err
    ), run


def test_a_directory_that_is_somebody_elses(
    project: Project, server: Server, tmp_path: Path
) -> None:
    precious = tmp_path / "home" / "precious"
    precious.write_text("")
    project.write({"test_many.py": MANY})
    run = project.run(f"--tx={server.tx('a', f'//chdir={precious.parent}')}")
    assert run.code == 4 and "holds something that phalanx did not bring" in run.err, run
    assert precious.exists()


def test_different_collections(project: Project, server: Server) -> None:
    project.write(
        {
            "test_a.py": "import os\nif 'FAR' in os.environ:\n    def test_far(): pass\ndef test_a(): pass\n"
        }
    )
    run = project.run(f"--tx={server.tx('a')}", f"--tx=command=env FAR=1{PYTHON}")
    assert run.code == 1 and "passed" not in run.counts, run
    assert "Different tests were collected between" in run.out and "test_a.py::test_far" in run.out


@pytest.mark.parametrize(
    ("mark", "conftest", "args", "says"),
    [
        (
            "@pytest.mark.phalanx_limit('db', 2)",
            "",
            (),
            "run these without --tx, and the others with -m 'not phalanx_exclusive and not phalanx_limit': "
            "limits are not kept between machines\n",
        ),
        ("", "", ("--ramp=5",), "--ramp: workers on other machines begin at once"),
        ("", "", ("--dist=each",), "--dist=each runs on this machine only: leave out --tx ssh="),
        (
            "",
            "from xdist.scheduler import LoadScheduling\n"
            "def pytest_xdist_make_scheduler(config, log): return LoadScheduling(config, log)\n",
            (),
            "the scheduler LoadScheduling runs tests on this machine only",
        ),
    ],
    ids=["limits", "ramp", "each", "scheduler"],
)
def test_what_is_not_kept_between_machines(
    project: Project, mark: str, conftest: str, args: tuple[str, ...], says: str
) -> None:
    test = f"import pytest\n{mark}\ndef test_a(): pass\n"
    project.write({"test_a.py": test, "conftest.py": conftest})
    machine = f"--tx=command=env FAR=1{PYTHON}//chdir={project.home}/there"
    run = project.run(machine, *args)
    assert run.code == 4 and not run.reports, run
    assert says in run.err, run
    assert "Traceback" not in run.err + run.out, run


def test_a_broken_module(project: Project, server: Server) -> None:
    project.write({"test_a.py": "import no_such_module\n", "test_b.py": MANY})
    expected = project.run()
    run = project.run(f"--tx={server.tx('a')}", f"--tx={server.tx('b')}")
    assert (run.code, run.counts) == (expected.code, expected.counts), run


def test_something_else_answers(project: Project) -> None:
    project.write({"test_many.py": MANY})
    run = project.run("--tx=command=printf Welcome_to_this_host")
    assert run.code == 4 and "the peer sent bytes that are not phalanx's protocol" in run.err, run
    run = project.run("--tx=command=false", "--tx=command=no-such-program-here")
    assert run.code == 4 and "there is no program 'no-such-program-here' here" in run.err, run


# ---- what goes wrong ----


def test_a_worker_that_dies(project: Project, server: Server) -> None:
    project.write(
        {
            "test_a.py": """
                import os, signal, sys
                def test_dies():
                    print("last words", flush=True)
                    os.kill(os.getpid(), signal.SIGKILL)
            """,
            "test_b.py": MANY,
        }
    )
    run = project.run(f"--tx={server.tx('a')}", f"--tx={server.tx('b')}")
    assert (run.code, run.counts) == (1, {"failed": 1, "passed": 30}), run
    assert "killed by signal 9 (SIGKILL) in its call phase" in run.out
    assert run.sections_of("test_a.py::test_dies")["Captured stdout call"] == "last words\n"


WAITS = """
    import os, pathlib, time
    HOME = pathlib.Path(os.environ["PHALANX_E2E_HOME"])
    def test_waits():
        (HOME / "pid").write_text(str(os.getpid()))
        (HOME / "pid").rename(HOME / "running")
        while not (HOME / "go").exists():
            time.sleep(0.02)
"""


def parent_of(pid: int) -> int:
    return int(Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[1])


def node_of(pid: int) -> int:
    """The node above a worker."""
    while "phalanx-node" not in Path("/proc", str(pid), "comm").read_text():
        pid = parent_of(pid)
    return pid


def start_waiting(project: Project, *args: str) -> tuple[Running, int]:
    """A run in which a test waits; the pid of that test's node."""
    project.write({"test_waits.py": WAITS, "test_many.py": MANY})
    running = project.start(*args, "-v", env={"PHALANX_E2E_HOME": str(project.home)})
    mark = project.home / "running"

    def is_running() -> bool:  # and the controller knows
        shown = "\ntest_waits.py::test_waits" in running.output()
        return (shown and mark.exists()) or running.process.poll() is not None

    wait_until(is_running, "the test")
    assert mark.exists(), running.wait(PATIENCE_S)
    return running, node_of(int(mark.read_text()))


@pytest.mark.parametrize("lost", ["report", "rerun"])
def test_a_machine_that_dies(project: Project, server: Server, lost: str) -> None:
    machines = (f"--tx={server.tx('a')}", f"--tx={server.tx('b')}")
    running, node = start_waiting(project, *machines, f"--lost={lost}")
    os.kill(node, signal.SIGKILL)
    wait_until(lambda: "lost " in running.output(), "the loss", PATIENCE_S)
    (project.home / "go").touch()
    run = running.wait(PATIENCE_S)
    if lost == "rerun":
        assert (run.code, run.counts) == (0, {"passed": 31}), run
    else:
        assert (run.code, run.counts) == (1, {"failed": 1, "passed": 30}), run
        assert re.search(r"the machine [ab] was lost: ", run.out), run


def test_a_machine_that_freezes(project: Project, server: Server) -> None:
    machines = (f"--tx={server.tx('a')}", f"--tx={server.tx('b')}")
    running, node = start_waiting(project, *machines, "--lost-after=20")
    os.kill(node, signal.SIGSTOP)
    wait_until(lambda: "lost " in running.output(), "the loss", PATIENCE_S)
    os.kill(node, signal.SIGCONT)
    (project.home / "go").touch()
    run = running.wait(PATIENCE_S)
    assert (run.code, run.counts) == (1, {"failed": 1, "passed": 30}), run
    assert "nothing was heard of it for" in run.out, run


def test_the_only_machine_dies(project: Project, server: Server) -> None:
    running, node = start_waiting(
        project, f"--tx={server.tx('a')}", "--order=collection", "test_waits.py", "test_many.py"
    )
    os.kill(node, signal.SIGKILL)
    run = running.wait(PATIENCE_S)
    assert (run.code, run.counts["failed"]) == (1, 1), run
    assert "30 not run, as no worker was left" in run.out, run


def test_interrupt(project: Project, server: Server) -> None:
    running, _ = start_waiting(project, f"--tx={server.tx('a')}", f"--tx={server.tx('b')}")
    os.kill(running.pid, signal.SIGINT)
    run = running.wait(PATIENCE_S)
    assert run.code == 2, run


def test_nothing_stays_when_the_controller_is_killed(project: Project, server: Server) -> None:
    running, _ = start_waiting(project, f"--tx={server.tx('a')}", f"--tx={server.tx('b')}")
    os.kill(running.pid, signal.SIGKILL)
    running.process.wait()
    wait_until(lambda: not marked_processes(running.mark), "the end of everything")
    running.wait(PATIENCE_S)


def test_stop_at_the_first_failure(project: Project, server: Server) -> None:
    project.write({"test_a.py": "def test_fails(): assert 0\n", "test_many.py": MANY})
    run = project.run(f"--tx={server.tx('a')}", f"--tx={server.tx('b')}", "-x")
    assert run.code == 1 and "stopping after 1 failures" in run.out, run


def test_work_goes_where_there_is_none(project: Project, server: Server) -> None:
    """One machine holds half of the tests behind one that waits: the other one runs them all."""
    machines = (f"--tx={server.tx('a')}", f"--tx={server.tx('b')}")
    running, _ = start_waiting(project, *machines)
    record = project.home / "run1" / "record"
    wait_until(
        lambda: record.read_text().count('"category": "passed"') >= 30, "the others", PATIENCE_S
    )
    (project.home / "go").touch()
    run = running.wait(PATIENCE_S)
    assert (run.code, run.counts) == (0, {"passed": 31}), run


# ---- a bad line ----


@pytest.fixture
def relays(server: Server) -> Iterator[Callable[..., Relay]]:
    made: list[Relay] = []

    def make(**options: Any) -> Relay:
        made.append(Relay(server.port, **options))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_line_that_is_slow_and_stalls(
    project: Project, server: Server, relays: Callable[..., Relay], seed: int
) -> None:
    project.write(SUITE)
    sequential = project.run()
    relay = relays(delay_s=0.025, seed=seed)
    run = project.run(f"--tx={server.tx('a')}", f"--tx={server.tx_by(relay)}")
    assert (run.code, run.counts) == (sequential.code, sequential.counts), run


@pytest.mark.parametrize(("stage", "most"), [("connecting", 0), ("syncing", 1)])
def test_a_line_that_is_cut_before_the_run(
    project: Project, server: Server, relays: Callable[..., Relay], stage: str, most: int
) -> None:
    project.write({"test_many.py": MANY})
    run = project.run(f"--tx={server.tx('a')}", f"--tx={server.tx_by(relays(most=most))}")
    assert run.code == 4 and not run.reports, run
    assert re.search(r"\bb: .*[Cc]onnection (closed|reset)", run.err, re.DOTALL), run


# What is far away stops there, for ever. A warning, which comes behind all that was said before, tells the
# controller that it has: what is still on its way when the line is cut would be nobody's to know.
STOPS = """
    import os, pathlib, time, warnings, pytest
    HOME = pathlib.Path(os.environ["PHALANX_E2E_HOME"])
    FAR = "PHALANX_E2E_FAR" in os.environ
    def stop(config, stage):
        if not FAR or os.environ["PHALANX_E2E_STAGE"] != stage:
            return
        warning = warnings.WarningMessage(UserWarning("stops"), UserWarning, "a.py", 1)
        said = dict(warning_message=warning, when="runtest", nodeid="", location=None)
        config.hook.pytest_warning_recorded.call_historic(kwargs=said)
        while True:
            time.sleep(0.02)
    def pytest_warning_recorded():
        if not FAR:
            (HOME / "heard").touch()
    def pytest_collection(session):
        stop(session.config, "collecting")
    @pytest.fixture(autouse=True)
    def running(request):
        stop(request.config, "running")
    def pytest_sessionfinish(session):
        stop(session.config, "finishing")
"""


@pytest.mark.parametrize(
    ("stage", "code", "counts"),
    [
        ("collecting", 0, {"passed": 30}),
        ("running", 1, {"failed": 1, "passed": 29}),
        ("finishing", 1, {"passed": 30}),
    ],
)
def test_a_line_that_is_cut(
    project: Project,
    server: Server,
    relays: Callable[..., Relay],
    stage: str,
    code: int,
    counts: dict[str, int],
) -> None:
    project.write({"test_many.py": MANY, "conftest.py": STOPS})
    relay = relays()
    running = project.start(
        f"--tx={server.tx('a')}",
        f"--tx={server.tx_by(relay)}",
        env={"PHALANX_E2E_HOME": str(project.home), "PHALANX_E2E_STAGE": stage},
    )
    heard = project.home / "heard"
    wait_until(lambda: heard.exists() or running.process.poll() is not None, stage, PATIENCE_S)
    relay.cut()
    run = running.wait(PATIENCE_S)
    assert (run.code, run.counts) == (code, {**counts, "warning": 1}), run
    assert "\nlost b: " in run.out, run
    wait_until(lambda: not marked_processes(running.mark), "the end of what ran there", PATIENCE_S)
