import time

import pytest


class TestChain:
    @pytest.mark.dependency()
    def test_first(self):
        time.sleep(0.05)

    @pytest.mark.dependency(depends=["TestChain::test_first"])
    def test_second(self):
        time.sleep(0.05)

    @pytest.mark.dependency()
    def test_fails(self):
        raise AssertionError("known")

    @pytest.mark.dependency(depends=["TestChain::test_fails"])
    def test_not_run(self):
        pass
