import conftest
import matplotlib.pyplot
import numpy
import pytest


@pytest.fixture(scope="session")
def drawn():
    """The first values that a worker gets."""
    return {kind: [draw() for draw in draws] for kind, draws in conftest.generators.items()}


@pytest.mark.parametrize("number", range(6))
def test_draw(drawn, number, record_property):
    for kind, values in drawn.items():
        record_property(kind, " ".join(map(str, values)))


@pytest.mark.parametrize("number", range(4))
def test_multiply(number):
    assert (conftest.product == numpy.ones((300, 300)) @ numpy.ones((300, 300))).all()


def test_plot(tmp_path):
    figure, axes = matplotlib.pyplot.subplots()
    axes.plot([1, 2, 3])
    figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size


@pytest.mark.parametrize("number", range(3))
def test_lock(number):
    with conftest.lock:
        assert conftest.lock.is_locked
