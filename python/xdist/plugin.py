"""The module behind pytest's plugin name `xdist` and `-p xdist.plugin`."""

from phalanx.options import parse_numprocesses
from phalanx.xdist_plugin import (
    get_xdist_worker_id,
    is_xdist_controller,
    is_xdist_master,
    is_xdist_worker,
    phalanx_slot,
    pytest_addhooks,
    pytest_addoption,
    pytest_cmdline_main,
    pytest_collection_finish,
    pytest_configure,
    pytest_xdist_auto_num_workers,
    testrun_uid,
    worker_id,
)

__all__ = [
    "get_xdist_worker_id",
    "is_xdist_controller",
    "is_xdist_master",
    "is_xdist_worker",
    "parse_numprocesses",
    "phalanx_slot",
    "pytest_addhooks",
    "pytest_addoption",
    "pytest_cmdline_main",
    "pytest_collection_finish",
    "pytest_configure",
    "pytest_xdist_auto_num_workers",
    "testrun_uid",
    "worker_id",
]
