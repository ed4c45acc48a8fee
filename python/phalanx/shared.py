"""Fixtures once per run: set up in the zygote after collection, inherited by every worker, torn down in the
zygote after the last worker has ended.

A shared fixture is a session fixture of pytest's, set up by pytest's own code; what is special is where.
The zygote keeps pytest's list of finalizers; a worker keeps the results alone, so that its tests find a
fixture that has a value, or has failed, and nothing to tear down. When the zygote dies, the last worker to
leave has a copy of the finalizers and runs them.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import pytest
from _pytest.outcomes import Failed, OutcomeException
from _pytest.warnings import catch_warnings_for_item

from phalanx import _engine, adapters

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "_phalanx_shared_fixture"

Send = Callable[[int, Any], object]


class SharedFixtureError(Failed):
    """A shared fixture that takes what processes cannot share; tests that need it fail with this. It says
    all itself: no traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(message, pytrace=False)


_is_any_marked = False


def mark(function: _F, name: str | None, autouse: bool) -> Any:
    """What the decorator does: an ordinary session fixture, and a note on its function."""
    global _is_any_marked
    _is_any_marked = True
    if not callable(function):
        refuse(repr(function))
    setattr(function, _MARK, True)
    return pytest.fixture(scope="session", name=name, autouse=autouse)(function)


def refuse(what: str) -> NoReturn:
    raise TypeError(
        f"shared_fixture takes the name and autouse arguments of pytest.fixture, not {what}: "
        "its scope is the session, and it has no params"
    )


def is_shared(fixturedef: Any) -> bool:
    return getattr(fixturedef.func, _MARK, False) is True


# ---- what a set-up must not ask for ----

_setting_up: str | None = None  # the fixture that the zygote sets up now


def check_identity(what: str) -> None:
    """Called where something reads which worker this is, while it is none yet."""
    if _setting_up is not None:
        raise SharedFixtureError(
            f"{what} in the shared fixture {_setting_up!r}: it is set up once for all workers, so there is "
            "no worker to name. Read it in an ordinary fixture, or make this one a session fixture"
        )


class SharedFixtures:
    def __init__(self, config: pytest.Config, watch: Any) -> None:
        self._config = config
        self._watch = watch
        self._zygote = os.getpid()
        self._needed: dict[Any, list[pytest.Item]] = {}  # fixture: the tests that need it
        self._texts: dict[Any, tuple[str, str]] = {}  # what a failed set-up has written
        self._executed: list[Any] = []  # they, and the ordinary fixtures that they asked for
        self._undone: list[tuple[Any, list[Any]]] = []  # in a worker: fixtures and their finalizers
        self._finalizers: Any = None  # in a worker: the session's, as the zygote has them
        self._lock = -1  # a memfd, which each process opens for itself

    # ---- in the zygote ----

    def set_up(self, session: pytest.Session, send: Send) -> None:
        """All that the collected tests need. A set-up that fails is kept: its tests will fail with it."""
        if session.testsfailed and not self._config.option.continue_on_collection_errors:
            return
        self._needed = _needed_by(session.items)
        if not self._needed:
            return
        self._lock = os.memfd_create("phalanx-shared-fixtures")
        session._setupstate.stack[session] = ([session.teardown], None)
        send(_engine.MSG_SHARED, {"set_up": [fixture.argname for fixture in self._needed]})
        for fixture, items in self._needed.items():
            send(_engine.MSG_COLLECTING, f"{items[0].nodeid} (shared fixture {fixture.argname})")
            self._set_up_one(fixture, items[0])

    def _set_up_one(self, fixture: Any, item: Any) -> None:
        global _setting_up
        inherited = set(self._watch.children())
        failure: SharedFixtureError | None = None
        texts = ["", ""]
        _setting_up = fixture.argname
        item.session._setupstate.stack[item] = (
            [],
            None,
        )  # or pytest would take this for a teardown
        try:
            with self._captured(item, texts):
                item._request.getfixturevalue(fixture.argname)
        except pytest.exit.Exception:
            raise
        except SharedFixtureError as error:
            failure = error
        except (Exception, OutcomeException):
            self._texts[fixture] = (texts[0], texts[1])  # pytest has kept the exception
        finally:
            _setting_up = None
            del item.session._setupstate.stack[item]
            item._initrequest()
        cause = self._watch.find_bound_to_process(adapters.repaired_descriptors(self._config))
        if cause is not None and failure is None:
            failure = SharedFixtureError(
                f"{cause} in the shared fixture {fixture.argname!r}, and the workers, which are forked from "
                "here, would not have it. End it before the fixture returns or yields, or make this an "
                "ordinary session fixture, which each worker sets up for itself"
            )
        if failure is not None:
            fixture.finish(item._request)
            fixture.cached_result = None
            fixture.func = _failing(failure)
        self._watch.owned_children |= set(self._watch.children()) - inherited

    @contextmanager
    def _captured(self, item: Any, texts: list[str]) -> Generator[None, None, None]:
        """Output and warnings, as pytest does it around a test."""
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.resume_global_capture()
        try:
            with catch_warnings_for_item(
                config=self._config, ihook=item.ihook, when="runtest", item=item
            ):
                yield
        finally:
            if capture is not None:
                capture.suspend_global_capture(in_=False)
                texts[:] = capture.read_global_capture()

    def tear_down(self, send: Send) -> None:
        """Once, when no worker is left."""
        if not self._needed:
            return
        item: Any = next(reversed(self._needed.values()))[-1]
        texts = ["", ""]
        try:
            with self._captured(item, texts):
                item.session._setupstate.teardown_exact(None)
        except BaseException:
            report = _teardown_report(item, texts)
            data = self._config.hook.pytest_report_to_serializable(
                config=self._config, report=report
            )
            send(_engine.MSG_SHARED, {"report": data})

    # ---- in a worker ----

    def inherit(self, session: pytest.Session) -> None:
        """Keeps what the shared fixtures have given; whatever else was set up for their sake is set up anew
        where tests of this worker need it. Nothing of it is torn down here."""
        if not self._needed:
            return
        own = os.open(
            f"/proc/self/fd/{self._lock}", os.O_RDWR
        )  # what flock locks is this opening of it
        os.close(self._lock)
        self._lock = own
        fcntl.flock(own, fcntl.LOCK_SH)
        self._finalizers = session._setupstate.stack.pop(session, None)
        for fixture in self._executed:
            self._undone.append((fixture, list(fixture._finalizers)))
            fixture._finalizers.clear()
            if not is_shared(fixture):
                fixture.cached_result = None

    def explain(self, item: pytest.Item) -> None:
        """Before a test's set-up: what a shared fixture that has failed wrote meanwhile."""
        for fixture, texts in self._texts.items():
            if item in self._needed[fixture]:
                for name, text in zip(("stdout", "stderr"), texts):
                    if text:
                        item.add_report_section("setup", name, text)

    def on_set_up(self, fixturedef: Any) -> None:
        """Before a fixture is set up, in the zygote or in a worker."""
        if _setting_up is not None:
            self._executed.append(fixturedef)
        elif is_shared(fixturedef) and fixturedef not in self._needed:
            warnings.warn(
                pytest.PytestWarning(
                    f"the shared fixture {fixturedef.argname!r} is set up in each worker that needs it: "
                    "it is shared by workers that are forked after collection, and by tests that name it as "
                    "an argument or in usefixtures"
                ),
                stacklevel=2,
            )

    def leave(self, session: pytest.Session) -> None:
        """At the worker's end. If the zygote is dead, the last worker tears down in its place: each one
        tries to turn its share of the lock into an exclusive one, which gives the share up at once, so that
        of several that leave together exactly one succeeds."""
        if self._lock < 0 or os.getppid() == self._zygote:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        for fixture, finalizers in self._undone:
            fixture._finalizers[:] = finalizers
        session._setupstate.stack[session] = self._finalizers
        session._setupstate.teardown_exact(None)


def _needed_by(items: list[pytest.Item]) -> dict[Any, list[pytest.Item]]:
    needed: dict[Any, list[pytest.Item]] = {}
    for item in items if _is_any_marked else []:
        info = getattr(item, "_fixtureinfo", None)
        if info is None or not hasattr(item, "_initrequest"):
            continue
        for name in info.names_closure:
            fixtures = info.name2fixturedefs.get(name)
            if fixtures and is_shared(fixtures[-1]):
                needed.setdefault(fixtures[-1], []).append(item)
    return needed


def _failing(error: SharedFixtureError) -> Callable[..., NoReturn]:
    def fail(*args: Any, **kwargs: Any) -> NoReturn:
        raise error

    setattr(fail, _MARK, True)
    return fail


def _teardown_report(item: Any, texts: list[str]) -> pytest.TestReport:
    """As the last test that needed one would have it."""
    info: Any = pytest.ExceptionInfo.from_current()
    sections = [
        (f"Captured {name} teardown", text)
        for name, text in zip(("stdout", "stderr"), texts)
        if text
    ]
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=item.repr_failure(info),
        when="teardown",
        sections=sections,
    )
