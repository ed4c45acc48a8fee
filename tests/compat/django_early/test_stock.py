import pytest
from django.db import connection


@pytest.mark.parametrize("number", range(6))
def test_insert(number):
    with connection.cursor() as cursor:
        cursor.execute("insert into stock values (%s)", [number])
        cursor.execute("select count(*) from stock where number = %s", [number])
        assert cursor.fetchone()[0]


def test_wrong():
    with connection.cursor() as cursor:
        cursor.execute("select * from nothing")
