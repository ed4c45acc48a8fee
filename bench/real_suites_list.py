"""The projects of real_suites.py: chosen for variety, and because their tests run without a network."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from environments import PHALANX, XDIST, pip, version_of
from real import DIRECTORY, unpack


@dataclass
class Suite:
    """One project, from its source archive; it is installed, with what its tests need, into a folder of its
    own that is on PYTHONPATH in its runs only."""

    name: str
    version: str
    kind: str  # what makes it different from the others
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()  # below the source, on PYTHONPATH before what is installed
    environment: tuple[tuple[str, str], ...] = ()
    varying: str = ""  # a pattern: what no two collections have in common in their node ids
    of_xdist: str = ""  # why pytest-xdist differs
    known: dict[str, str] = field(default_factory=dict)  # what differs, a pattern: and why

    @property
    def source(self) -> Path:
        return DIRECTORY / f"{self.name}-{self.version}"

    @property
    def site(self) -> Path:
        return DIRECTORY / f"site-{self.name}"

    def prepare(self) -> None:
        """Downloads, unpacks and installs what is not there yet."""
        DIRECTORY.mkdir(exist_ok=True)
        if not self.source.exists():
            unpack(self.name, self.version, self.source)
        wanted = [f"{self.name}=={self.version}", *self.needs]
        stamp = self.site / "complete"
        if not stamp.exists() or stamp.read_text().split("\n") != wanted:
            shutil.rmtree(self.site, ignore_errors=True)
            same = DIRECTORY / "constraints.txt"
            same.write_text(f"pytest=={version_of(XDIST, 'pytest')}\n")
            pip(PHALANX, "install", "--quiet", "--constraint", str(same),
                "--target", str(self.site), *wanted)  # fmt: skip
            stamp.write_text("\n".join(wanted))


SUITES = (
    Suite("attrs", "26.1.0", "classes that write code; hypothesis; import mode importlib",
          ("tests", "--ignore=tests/test_mypy.yml"), ("cloudpickle", "hypothesis", "pympler")),
    Suite("boltons", "26.2.0", "doctests beside functions",
          ("--doctest-modules", "boltons", "tests")),
    Suite("structlog", "26.1.0", "coverage measured (pytest-cov); pytest-asyncio; pytest-randomly",
          ("tests", "--cov=structlog", "--cov-report=", "--randomly-seed=7"),
          ("pytest-asyncio", "pytest-randomly", "pytest-cov", "simplejson", "time-machine")),
    Suite("marshmallow", "4.4.0", "small parametrized functions; test ids hold the second of collection",
          ("tests",), ("simplejson",), varying=r"\d\d:\d\d:\d\d",
          of_xdist="Workers that collect in different seconds collect different tests, and pytest-xdist "
                   "gives up; phalanx collects once."),
    Suite("jinja2", "3.1.6", "a template engine: small methods of classes; async", ("tests",), ("trio",)),
    Suite("click", "8.5.1", "command lines: functions with an isolated runner",
          ("tests", "--ignore=tests/test_stream_lifecycle.py")),
    Suite("more-itertools", "11.2.1", "unittest classes with subtests; computations of uneven length",
          ("tests",)),
    Suite("packaging", "26.3", "tens of thousands of parametrized tests", ("tests",),
          ("pretend", "tomli_w", "hypothesis")),
    Suite("python-dateutil", "4.0.0", "unittest classes, properties, warnings as errors", ("tests",),
          ("freezegun", "hypothesis", "pytest-cov")),
    Suite("flask", "3.1.3", "a web framework: fixtures of modules, applications from files",
          ("tests", "--ignore=tests/test_cli.py"),  # which imports what this pytest has no more
          ("python-dotenv", "asgiref", "greenlet")),
    Suite("werkzeug", "3.1.9", "many small functions; pytest-timeout; without its development servers",
          ("tests", "-m", "not dev_server", "--ignore=tests/middleware/test_http_proxy.py"),
          ("cffi", "cryptography", "ephemeral-port-reserve", "pytest-timeout", "watchdog")),
    Suite("anyio", "4.16.0", "a plugin that runs async tests on asyncio and trio; class fixtures",
          ("tests/test_taskgroups.py", "tests/test_synchronization.py", "tests/streams",
           "tests/test_pytest_plugin.py"),
          ("blockbuster", "hypothesis", "psutil", "pytest-mock", "pytest-timeout", "trustme", "truststore",
           "uvloop", "trio"),
          environment=(("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"), ("PYTEST_PLUGINS", "xdist.plugin"))),
    Suite("djangorestframework", "3.18.3", "a database for each worker (pytest-django, SQLite)", ("tests",),
          ("django>=5.2,<5.3", "pytest-django>=4.5.2,<5", "pytest-cov", "dj-database-url", "uritemplate",
           "markdown", "pyyaml", "pytz", "inflection", "django-filter", "django-guardian"),
          known={"ScopedRateThrottleTests::test_scoped_rate_throttle":
                 "It depends on the order: after the throttling tests that its worker ran before, it fails "
                 "without workers too."}),
    Suite("sqlalchemy", "2.1.9", "a pytest plugin of its own with pytest-xdist's hooks; a database "
          "made in the controller for each worker; classes made at collection",
          ("test/engine", "test/ext", "test/base"), ("greenlet", "typing-extensions"), paths=("lib",)),
    Suite("networkx", "3.6.1", "numpy and scipy; classes with set-up; doctests",
          ("--doctest-modules", "networkx/linalg", "networkx/algorithms/centrality", "networkx/generators",
           "networkx/classes", "networkx/drawing"), ("numpy", "scipy", "pytest-cov")),
)  # fmt: skip
