"""Workers as the controller sees them."""

from phalanx.nodes import NodeManager, WorkerController, parse_tx_spec_config
from phalanx.serialize import warning_from_data as unserialize_warning_message

# Its name until pytest-xdist 3.7; schedulers still import it.
parse_spec_config = parse_tx_spec_config

__all__ = [
    "NodeManager",
    "WorkerController",
    "parse_spec_config",
    "parse_tx_spec_config",
    "unserialize_warning_message",
]
