import pytest
from prices import gross


@pytest.mark.parametrize("net", [0, 100, 200])
def test_gross(net):
    assert gross(net) == net * 119 // 100
