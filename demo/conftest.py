"""For every suite of the demo: the report of each test says which worker ran it."""

import pytest


@pytest.fixture(autouse=True)
def record_worker(worker_id, record_property):
    """``worker_id`` is "gw0", "gw1", ... in a worker and "master" without ``-n``."""
    record_property("worker", worker_id)
