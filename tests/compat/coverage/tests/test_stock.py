import os

from shop.stock import Stock


class TestStock:
    def test_add(self):
        stock = Stock()
        stock.add(3)
        assert stock.count == 3

    def test_in_thread(self):
        stock = Stock()
        stock.add_in_thread(4)
        assert stock.count == 4


def test_in_fork():
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_wrong():
    assert Stock().count == 1
