import pytest
from flask import Flask, jsonify


@pytest.fixture(scope="session")
def app():
    app = Flask("store")

    @app.route("/count")
    def count():
        return jsonify(count=3)

    return app
