from shop import RATES


def gross(net, country):
    if country in RATES:
        return net * (100 + RATES[country]) // 100
    if country == "us":
        return net
    raise LookupError(country)


def never(net):
    return -net
