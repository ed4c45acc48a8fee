"""pytest-xdist's package, provided by phalanx: what plugins and conftest files import from it."""

from phalanx.stand_in import INTERFACE as __version__
from phalanx.xdist_plugin import (
    get_xdist_worker_id,
    is_xdist_controller,
    is_xdist_master,
    is_xdist_worker,
)

# __version__ is the version of pytest-xdist whose interface this is; plugins compare it.
version = __version__

__all__ = [
    "__version__",
    "get_xdist_worker_id",
    "is_xdist_controller",
    "is_xdist_master",
    "is_xdist_worker",
]
