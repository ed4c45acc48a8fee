"""phalanx runs a pytest suite on every core: the drop-in replacement for pytest-xdist.

The zygote imports this package before pytest could rewrite its assertions: PYTEST_DONT_REWRITE.
"""

__version__ = "0.1.0"
