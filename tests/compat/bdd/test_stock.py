from pytest_bdd import given, parsers, scenarios, then, when

scenarios("stock.feature")


@given(parsers.parse("{count:d} pieces"), target_fixture="stock")
def stock(count):
    return {"count": count}


@when(parsers.parse("{count:d} are sold"))
def sell(stock, count):
    stock["count"] -= count


@then(parsers.parse("{count:d} are left"))
def left(stock, count):
    assert stock["count"] == count
