import pytest


@pytest.mark.parametrize("number", [3, 5, 8])
def test_sum(benchmark, number):
    assert benchmark(sum, range(number)) == sum(range(number))


@pytest.mark.benchmark(group="pedantic")
def test_pedantic(benchmark):
    assert benchmark.pedantic(int, args=("7",), rounds=3) == 7


def test_without():
    pass
