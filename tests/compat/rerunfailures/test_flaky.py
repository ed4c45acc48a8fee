import pathlib

import pytest


def attempt(tmp_path_factory, name):
    """How often this test was tried, in this run: counted in a file, as a try may have another process."""
    path = tmp_path_factory.getbasetemp() / name
    with path.open("a") as file:
        file.write("x")
    return len(path.read_text())


@pytest.fixture
def tries(tmp_path_factory, request):
    return attempt(tmp_path_factory, request.node.name)


@pytest.fixture
def shaky(tmp_path_factory, request):
    if attempt(tmp_path_factory, f"set-up-{request.node.name}") == 1:
        raise OSError("not yet")
    yield
    pathlib.Path(tmp_path_factory.getbasetemp(), f"torn-down-{request.node.name}").write_text("")


def test_second_try(tries):
    assert tries == 2


@pytest.mark.flaky(reruns=3, reruns_delay=0)
def test_third_try(tries):
    assert tries >= 3


@pytest.mark.flaky(reruns=3, condition=False)
def test_never_again(tries):
    assert tries == 1


def test_fixture(shaky):
    pass


def test_always_fails():
    raise OSError("always")


def test_good():
    pass


@pytest.fixture(scope="class")
def number():
    return 5


class TestClass:
    def test_first(self, number, tries):
        assert number == 5 and tries == 2

    def test_next(self, number):
        assert number == 5


def test_expected_failure():
    pytest.xfail("known")
