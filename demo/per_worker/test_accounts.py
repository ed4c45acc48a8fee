"""Each test writes a row, works for a while, and finds the rows of its own worker and no others."""

import time


class TestAccounts:
    def test_open(self, database):
        before = database.rows()
        database.insert(account="Ada", balance=0)
        time.sleep(1.2)
        assert database.rows() == [*before, {"account": "Ada", "balance": 0}]

    def test_deposit(self, database):
        before = database.rows()
        database.insert(account="Ada", balance=100)
        time.sleep(1.5)
        assert database.rows() == [*before, {"account": "Ada", "balance": 100}]

    def test_statement_is_written_to_a_file(self, directory):
        statement = directory / "statement.txt"
        assert not statement.exists()
        statement.write_text("Ada: 100")
        time.sleep(1.8)
        assert statement.read_text() == "Ada: 100"
        statement.unlink()

    def test_close(self, database):
        before = database.rows()
        database.insert(account="Ada", closed=True)
        time.sleep(1.4)
        assert database.rows() == [*before, {"account": "Ada", "closed": True}]
