import pytest
from syrupy.extensions.json import JSONSnapshotExtension


@pytest.fixture
def as_json(snapshot):
    return snapshot.use_extension(JSONSnapshotExtension)


def test_json(as_json):
    assert as_json == {"a": [1, 2]}


def test_never_written(snapshot):
    with open("runs", "a+") as file:
        file.write("x")
        file.seek(0)
        assert f"another text each time {file.read()}" == snapshot
