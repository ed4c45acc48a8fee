import pytest


@pytest.mark.parametrize("number", range(6))
def test_good(number):
    print("said by the test")


def test_bad():
    print("said by the test")
    assert [1] == [2]


def test_extra(extras):
    from pytest_html import extras as kinds

    extras.append(kinds.text("more about it", name="notes"))
    extras.append(kinds.json({"a": 1}, name="data"))


@pytest.fixture
def broken():
    raise OSError("in the set-up")


def test_error(broken):
    pass


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


@pytest.mark.xfail
def test_xfail():
    raise AssertionError("known")
