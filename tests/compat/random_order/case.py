import re

from case import Case


def output(run, folder):
    return {"header": re.findall(r"Using --random-order.*", run.out)}


CASE = Case(
    plugin="pytest-random-order",
    exercises="a bucket and a seed that the controller hands to the workers",
    load=["random_order"],
    steps=[
        ["--random-order-bucket=class", "--random-order-seed=5"],
        ["--random-order", "--random-order-seed=6"],
    ],
    output=output,
)
