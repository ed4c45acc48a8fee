"""Changes a module of the project before the tests are collected."""

import pathlib
import threading

PATH = pathlib.Path(__file__).parent / "prices.py"


def pytest_load_initial_conftests():
    """Whole or not at all: every process of the run does it, while others read."""
    own = PATH.with_name(
        f"prices.{threading.get_native_id()}"
    )  # not the pid: workers would part here
    own.write_text("def gross(net):\n    return net + net * 19 // 100\n")
    own.replace(PATH)
