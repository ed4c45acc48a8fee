import time

import allure
import pytest


@pytest.fixture(scope="module")
def module_fixture():
    yield 1


@pytest.fixture
def with_step():
    with allure.step("in a fixture"):
        pass


@allure.feature("a feature")
@allure.severity(allure.severity_level.CRITICAL)
@pytest.mark.parametrize("number", range(9))
def test_steps(number, module_fixture, with_step):
    with allure.step(f"step {number}"):
        time.sleep(0.02)  # long enough for every worker to take part
        allure.attach("text", name="attached", attachment_type=allure.attachment_type.TEXT)


def test_fails():
    with allure.step("that fails"):
        assert 1 == 2


@allure.title("a title of its own")
def test_title():
    allure.dynamic.label("owner", "somebody")


@pytest.fixture
def broken():
    raise OSError("in the set-up")


def test_broken(broken):
    pass


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass
