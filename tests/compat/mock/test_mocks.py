import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def session_patch(session_mocker):
    return session_mocker.patch("os.getlogin", return_value="nobody")


@pytest.mark.parametrize("number", range(4))
def test_patch(mocker, number):
    mocker.patch("os.getcwd", return_value=number)
    assert os.getcwd() == number


def test_undone():
    assert isinstance(os.getcwd(), str)


def test_session():
    assert os.getlogin() == "nobody"


def test_spy(mocker):
    spy = mocker.spy(os.path, "basename")
    assert os.path.basename("a/b") == "b"
    spy.assert_called_once_with("a/b")


def test_not_called(mocker):
    stub = mocker.stub("stub")
    stub("seen")
    stub.assert_called_once_with("expected")
