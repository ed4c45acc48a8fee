import os

import pytest


@pytest.mark.parametrize("number", range(8))
def test_dict(snapshot, number):
    assert {"number": number, "list": list(range(number))} == snapshot


def test_two(snapshot):
    assert snapshot == "first"
    assert snapshot(name="named") == "second"


class TestClass:
    def test_text(self, snapshot):
        assert snapshot == "text\nof lines"


def test_gone(snapshot):
    assert os.environ.get("NOTHING") == snapshot


def test_without():
    pass
