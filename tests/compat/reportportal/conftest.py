import json
import os

from portal import Portal


def pytest_cmdline_main(config):
    """Before the plugin is configured; workers inherit the variables."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.portal = Portal()
        os.environ.update(RP_ENDPOINT=config.portal.url, RP_PROJECT="shop", RP_API_KEY="key")
        os.environ.update(RP_LAUNCH="all tests")


def pytest_unconfigure(config):
    portal = getattr(config, "portal", None)
    if portal is not None:
        portal.close()
        with open("told.json", "w") as file:
            json.dump(portal.told(), file)
