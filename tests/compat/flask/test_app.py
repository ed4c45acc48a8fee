import json
import urllib.request

import pytest
from flask import url_for


@pytest.mark.parametrize("number", range(4))
def test_client(client, number):
    assert client.get("/count").json == {"count": 3}


@pytest.mark.parametrize("number", range(3))
def test_live_server(live_server, number):
    with urllib.request.urlopen(live_server.url("/count")) as answer:
        assert json.load(answer) == {"count": 3}


@pytest.mark.options(debug=True)
def test_options(app):
    assert app.debug


def test_url(client):
    assert url_for("count").endswith("/count")


def test_missing(client):
    assert client.get("/nothing").status_code == 200
