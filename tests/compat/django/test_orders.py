import urllib.request

import pytest
from django.core import mail
from django.db import connection
from django.test import TestCase
from store.models import Order


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        Order.objects.create(name="from the set-up")


@pytest.fixture(autouse=True)
def database(request, record_property):
    if request.node.get_closest_marker("django_db"):
        record_property("database", connection.settings_dict["NAME"])


@pytest.mark.django_db
@pytest.mark.parametrize("number", range(12))
def test_rolled_back(number):
    assert Order.objects.count() == 1
    Order.objects.create(name="always the same name")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(3))
def test_transactional(number):
    Order.objects.create(name="committed")
    assert Order.objects.filter(name="committed").count() == 1


@pytest.mark.django_db(transaction=True)
def test_live_server(live_server):
    Order.objects.create(name="seen by the server")
    with urllib.request.urlopen(f"{live_server.url}/count") as answer:
        assert int(answer.read()) == Order.objects.count()


def test_client(client, db):
    assert client.get("/count").content == b"%d" % Order.objects.count()


def test_settings(settings):
    settings.DEBUG = True


def test_settings_are_back(settings):
    assert not settings.DEBUG


def test_mail(mailoutbox):
    mail.send_mail("subject", "text", "from@example.org", ["to@example.org"])
    assert len(mailoutbox) == 1


def test_blocked():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Order.objects.count()


def test_queries(django_assert_num_queries, db):
    with django_assert_num_queries(1):
        Order.objects.count()


class TestOfDjango(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.order = Order.objects.create(name="for the class")

    def test_it(self):
        assert Order.objects.filter(name="for the class").exists()

    def test_fails(self):
        assert Order.objects.filter(name="another").exists()


def test_needs_database_but_has_none():
    Order.objects.count()
