"""The plugin that pytest always loads: it starts the engine early, and keeps pytest-xdist apart."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Generator

import pytest

from phalanx import (
    count,
    flakiness,
    late_options,
    launch,
    options,
    report_json,
    retries,
    stand_in,
    zygote,
)

MEND = "pip uninstall -y pytest-xdist && pip install --force-reinstall --no-deps phalanx"


def _is_xdist_installed() -> bool:
    try:
        found = importlib.metadata.distribution(stand_in.NAME)
    except importlib.metadata.PackageNotFoundError:
        return False
    return not stand_in.is_stand_in(found)


stand_in.install()


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    # A wrapper, as pytest's capture is one too and swaps descriptors 1 and 2 inside: the guard and the
    # zygote must get the real ones.
    has_options = hasattr(early_config.known_args_namespace, "numprocesses")
    if has_options and not zygote.is_configuring and not _is_xdist_installed():
        launch.start_early(early_config)
    elif zygote.is_configuring and zygote.fork_point is not None:
        zygote.fork_point.use_config(early_config)
    late_options.hide_values(early_config, args)
    yield
    late_options.add(early_config, parser)


def pytest_plugin_registered(plugin: object) -> None:
    # In here, as this plugin is registered before those that the suite brings, and its conftest files.
    if zygote.fork_point is not None:
        zygote.fork_point.look(getattr(plugin, "__file__", None) or type(plugin).__module__)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    if _is_xdist_installed():
        raise pytest.UsageError(
            "phalanx and pytest-xdist are both installed, and both own the package 'xdist'. "
            f"Keep phalanx:  {MEND}"
        )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    count.install(config)
    has_options = hasattr(config.option, "numprocesses")
    is_distributed = has_options and options.is_distributed(config)
    retries.install(config, is_distributed)
    report_json.install(config)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(flakiness.Flakiness(config), "phalanx-flakiness")
    if is_distributed and not config.option.collectonly:
        return
    launch.drop(config)
