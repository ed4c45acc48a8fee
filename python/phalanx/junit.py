"""What tests write into the JUnit file beside their reports: properties of the whole run and attributes of
a test case. The file is the controller's; a worker has a recorder in its place, which tells the controller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _pytest.junitxml import LogXML, xml_key

Tell = Callable[[dict[str, Any]], None]


class WorkerXml(LogXML):
    """Stands where pytest's fixtures look for the file's writer. It is false, as pytest's own end of a
    session asks for that and would write the file."""

    def __init__(self, config: pytest.Config, tell: Tell) -> None:
        option = config.option
        family = config.getini("junit_family")
        super().__init__(
            option.xmlpath, option.junitprefix, config.getini("junit_suite_name"), family=family
        )
        self._tell = tell

    def __bool__(self) -> bool:
        return False

    def add_global_property(self, name: str, value: object) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name parameter needs to be a string, but {type(name).__name__} given")
        self._tell({"nodeid": None, "name": name, "value": str(value)})

    def node_reporter(self, report: Any) -> Any:
        return _TestCase(str(getattr(report, "nodeid", report)), self._tell)


class _TestCase:
    def __init__(self, nodeid: str, tell: Tell) -> None:
        self._nodeid = nodeid
        self._tell = tell

    def add_attribute(self, name: str, value: object) -> None:
        self._tell({"nodeid": self._nodeid, "name": str(name), "value": str(value)})


def install(config: pytest.Config, tell: Tell) -> None:
    """In a worker, if the run writes such a file."""
    if getattr(config.option, "xmlpath", None) and xml_key not in config.stash:
        config.stash[xml_key] = WorkerXml(config, tell)


class Records:
    """The controller's side. A session fixture is set up in each worker: what all of them say is written
    once."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._properties: set[tuple[str, str]] = set()

    def add(self, node: object, data: dict[str, Any]) -> None:
        xml = self._config.stash.get(xml_key, None)
        if xml is None:
            return
        nodeid, name, value = data["nodeid"], data["name"], data["value"]
        if nodeid is not None:
            # As the writer finds the case to which this worker's reports of the test belong.
            place: Any = pytest.TestReport(nodeid, ("", None, ""), {}, "passed", None, "setup")
            place.node = node
            xml.node_reporter(place).add_attribute(name, value)
        elif (name, value) not in self._properties:
            self._properties.add((name, value))
            xml.add_global_property(name, value)
