"""Eight classes of three tests, with a fixture that takes a second per class.

With ``--dist loadscope`` a class stays on one worker, and its fixture is set up once. Without it a
class may be split, and each part pays for the fixture again.
"""

import time


class Checks:
    """What every report must fulfil."""

    def test_header(self, report):
        time.sleep(0.1)
        assert report[0] == self.period

    def test_days(self, report):
        time.sleep(0.1)
        assert len(report[1:-1]) == self.days

    def test_total(self, report):
        time.sleep(0.1)
        assert report[-1] == "total"


class TestDay(Checks):
    period, days = "day", 1


class TestWeekend(Checks):
    period, days = "weekend", 2


class TestWeek(Checks):
    period, days = "week", 7


class TestFortnight(Checks):
    period, days = "fortnight", 14


class TestMonth(Checks):
    period, days = "month", 30


class TestQuarter(Checks):
    period, days = "quarter", 91


class TestHalf(Checks):
    period, days = "half", 182


class TestYear(Checks):
    period, days = "year", 365
