import pytest
from stock import left


@pytest.mark.parametrize("sold", [0, 1, 2])
def test_left(sold):
    assert left(5, sold) == 5 - sold


def test_wrong():
    assert left(1, 1) == 1
