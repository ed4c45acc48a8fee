import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait


@pytest.fixture
def page(browser, port):
    browser.get(f"http://127.0.0.1:{port}/")
    return browser


def buy(page, what):
    page.find_element(By.NAME, "what").send_keys(what)
    page.find_element(By.ID, "buy").click()
    WebDriverWait(page, 20).until(lambda page: what in texts(page))


def texts(page):
    return [item.text for item in page.find_elements(By.TAG_NAME, "li")]


def test_title(page, worker_id):
    """A browser that talked to another worker's shop would see its name."""
    assert page.title == f"Shop of {worker_id}"


@pytest.mark.parametrize("what", ["tea", "rice", "salt", "milk", "bread", "oil", "eggs", "honey"])
def test_buy(page, what):
    buy(page, what)
    assert texts(page) == [what]
    assert page.find_element(By.ID, "count").text == "1"


@pytest.mark.parametrize("round", range(4))
def test_buy_two(page, round):
    buy(page, "tea")
    buy(page, "rice")
    assert texts(page) == ["tea", "rice"]


@pytest.mark.parametrize("round", range(3))
def test_script(page, round):
    page.find_element(By.ID, "check").click()
    WebDriverWait(page, 20).until(lambda page: page.title == "checked")
