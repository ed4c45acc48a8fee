import os

import pytest


@pytest.mark.parametrize("word", ["apple", "pear", "plum", "fig", "nut", "leek"])
def test_buy(page, base_url, browser, word, record_property):
    record_property("browser", f"{os.getpid()}: {id(browser)}")
    record_property("port", base_url.rpartition(":")[2])
    page.goto("/")
    page.locator("input").fill(word)
    page.get_by_text("Buy").click()
    assert page.title() == "Bought" and page.inner_text("h1") == word


@pytest.mark.parametrize("clicks", range(3))
def test_more(page, clicks):
    page.goto("/")
    for _ in range(clicks):
        page.locator("#more").click()
    assert page.inner_text("#count") == str(clicks)


def test_two_contexts(browser, base_url):
    for _ in range(2):
        context = browser.new_context(base_url=base_url)
        page = context.new_page()
        page.goto("/")
        assert page.inner_text("#count") == "0"
        context.close()


def test_not_as_expected(page):
    page.goto("/")
    assert page.title() == "Something else"
