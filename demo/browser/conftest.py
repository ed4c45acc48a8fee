"""One browser and one shop, at a port of its own, for each worker; both live as long as the worker."""

import os
import shutil
import threading

import pytest
from shop import Shop

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
except ImportError:  # `make demo-browser` installs it
    collect_ignore = ["test_shop.py"]


@pytest.fixture(scope="session")
def port(request):
    """8000 without workers; 8001 for gw0, 8002 for gw1, and so on."""
    first = int(os.environ.get("DEMO_PORT", "8000"))
    workerinput = getattr(request.config, "workerinput", None)
    if workerinput is None:  # not a worker
        return first
    return first + 1 + int(workerinput["workerid"].removeprefix("gw"))


@pytest.fixture(scope="session")
def shop(port, worker_id):
    with Shop(worker_id, port) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "headless=new",
        "disable-gpu",
        "disable-dev-shm-usage",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{argument}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses to sandbox for root
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(autouse=True)
def record_resources(browser, shop, port, record_property):
    shop.items.clear()
    record_property("port", port)
    record_property("browser", browser.session_id)
