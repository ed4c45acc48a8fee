"""Keeps a crash from doing more than the demo wants."""

import resource
from pathlib import Path

import pytest


def is_asked_for(config):
    """Whether this suite is run by itself. Among others it would only be in their way."""
    here = Path(__file__).parent
    paths = [Path(config.invocation_params.dir, arg.partition("::")[0]) for arg in config.args]
    return all(here in (path.resolve(), *path.resolve().parents) for path in paths)


@pytest.fixture
def expendable_process(request):
    """For tests that end their process: it has to be a worker, and leaves no core file."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("would end this pytest; run it with -n 4")
    if not is_asked_for(request.config):
        pytest.skip("fails on purpose; run it by itself: pytest demo/crash -n 4")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
