import pytest
from shop.prices import gross


@pytest.mark.parametrize(
    "net, country, expected", [(100, "de", 119), (100, "fr", 120), (7, "us", 7)]
)
def test_gross(net, country, expected):
    assert gross(net, country) == expected


def test_unknown_country():
    with pytest.raises(LookupError):
        gross(1, "xx")
