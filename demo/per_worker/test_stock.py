"""What a worker keeps in memory is its own anyway: it is a process."""

import time


class TestStock:
    def test_receive(self, counter):
        before = counter.value
        time.sleep(1.5)
        assert counter.value == before

    def test_ship(self, counter):
        before = counter.value
        time.sleep(1.2)
        assert counter.value == before

    def test_list_is_written_to_a_file(self, directory):
        stock = directory / "stock.txt"
        assert not stock.exists()
        stock.write_text("3 books")
        time.sleep(1.8)
        assert stock.read_text() == "3 books"
        stock.unlink()

    def test_count_is_stored(self, database):
        before = database.rows()
        database.insert(stock=3)
        time.sleep(1.6)
        assert database.rows() == [*before, {"stock": 3}]
