import pytest


def test_plain():
    pass


@pytest.mark.repeat(4)
def test_marked():
    pass


class TestClass:
    @pytest.mark.parametrize("number", [1, 2])
    def test_number(self, number):
        assert number == 1
