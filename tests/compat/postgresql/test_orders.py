import time

import pytest


@pytest.mark.parametrize("number", range(9))
def test_orders(database, record_property, number):
    """Each worker inserts the same number: with one database for all it would be there already."""
    record_property("database", database.info.dbname)
    time.sleep(0.05)  # long enough for every worker to take part
    database.execute("insert into orders values (1)")
    assert database.execute("select count(*) from orders").fetchone() == (1,)
    database.execute("delete from orders")


@pytest.mark.parametrize("number", range(4))
def test_a_database_of_its_own(per_test, number):
    per_test.execute("create table items (number int)")
    assert per_test.execute("select count(*) from items").fetchone() == (0,)


def test_wrong(database):
    database.execute("select * from nothing")
