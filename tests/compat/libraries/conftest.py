"""What the conftest files of data and web projects import, and do while they are imported."""

import random

import factory
import factory.fuzzy
import filelock
import matplotlib
import numpy
import requests
import urllib3
from faker import Faker

matplotlib.use("Agg")
import matplotlib.pyplot

session = requests.Session()
pool = urllib3.PoolManager()
lock = filelock.FileLock("lock")  # made here, held by tests only

product = numpy.ones((300, 300)) @ numpy.ones((300, 300))

fake = Faker()
generators = {
    "unseeded": [
        random.Random().random,
        numpy.random.default_rng().random,
        numpy.random.random,
        fake.uuid4,
        lambda: factory.fuzzy.FuzzyFloat(0, 1).fuzz(),
    ],
    "seeded": [
        random.Random(7).random,
        numpy.random.default_rng(2**100 + 7).random,
        numpy.random.RandomState(7).random_sample,
    ],
}
