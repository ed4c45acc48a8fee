"""A module with state: the kind of global that ties tests to each other."""

value = 0


def increment():
    global value
    value += 1
    return value
