"""Keeps a crash from doing more than the demo wants."""

import resource

import pytest


@pytest.fixture
def expendable_process(request):
    """For tests that end their process: it has to be a worker, and leaves no core file."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("would end this pytest; run it with -n 4")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
