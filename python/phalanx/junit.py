"""What tests write into the JUnit file beside their reports: properties of the whole run, attributes and
properties of a test case. The file is the controller's; a worker has a recorder in its place, which tells
the controller.
"""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _pytest.junitxml import (
    LogXML,
    _check_record_param_type,
    _NodeReporter,
    bin_xml_escape,
    xml_key,
)

Tell = Callable[[dict[str, Any]], None]


class WorkerXml(LogXML):
    """Stands where pytest's fixtures look for the file's writer. It is false, as pytest's own end of a
    session asks for that, and would unregister a plugin that was never registered."""

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
        _check_record_param_type("name", name)
        self._tell({"of": "run", "name": name, "value": str(value)})

    def node_reporter(self, report: Any) -> Any:
        return _TestCase(report, self, self._tell)


class _TestCase(_NodeReporter):
    def __init__(self, report: Any, xml: WorkerXml, tell: Tell) -> None:
        nodeid = getattr(report, "nodeid", report)
        super().__init__(getattr(report, "id", nodeid), xml)
        self._nodeid = str(nodeid)
        self._tell = tell

    def add_attribute(self, name: str, value: object) -> None:
        self._tell_of("attribute", name, value)

    def add_property(self, name: str, value: object) -> None:
        self._tell_of("property", name, value)

    def _tell_of(self, what: str, name: str, value: object) -> None:
        self._tell({"of": what, "nodeid": self._nodeid, "name": str(name), "value": str(value)})


def install(config: pytest.Config, tell: Tell) -> None:
    """In a worker, if the run writes such a file."""
    if getattr(config.option, "xmlpath", None) and xml_key not in config.stash:
        config.stash[xml_key] = WorkerXml(config, tell)


class Records:
    """The controller's side. A session fixture is set up in each worker: what all of them say of the run
    is written once, what one says twice is written twice."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._said: Counter[tuple[object, str, str]] = Counter()
        self._written: Counter[tuple[str, str]] = Counter()

    def add(self, node: object, data: dict[str, Any]) -> None:
        xml = self._config.stash.get(xml_key, None)
        if xml is None:
            return
        name, value = data["name"], data["value"]
        if data["of"] == "run":
            self._said[node, name, value] += 1
            if self._said[node, name, value] > self._written[name, value]:
                self._written[name, value] += 1
                xml.add_global_property(name, value)
            return
        # As the writer finds the case to which this worker's reports of the test belong.
        place: Any = pytest.TestReport(data["nodeid"], ("", None, ""), {}, "passed", None, "setup")
        place.node = node
        case = xml.node_reporter(place)
        add = case.add_attribute if data["of"] == "attribute" else case.add_property
        add(name, value)


@contextlib.contextmanager
def without_case(config: pytest.Config, report: Any) -> Iterator[None]:
    """While a try is reported that another one follows, perhaps of another worker: no test case of its own
    comes of it."""
    xml = config.stash.get(xml_key, None)
    case = None if xml is None else xml.node_reporter(report)  # made when there is none
    yield
    if xml is not None and case is not None:
        xml.node_reporters = {k: v for k, v in xml.node_reporters.items() if v is not case}
        xml.node_reporters_ordered.remove(case)


def add_tries(config: pytest.Config, report: Any, failures: list[Any], passed: bool) -> None:
    """What earlier tries of the report's test came to, in the elements that Maven's Surefire uses."""
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    case = xml.node_reporter(report)
    for failure in failures:
        kind = "flaky" if passed else "rerun"
        what = "Failure" if failure.when == "call" else "Error"
        crash = getattr(failure.longrepr, "reprcrash", None)
        message = str(crash.message if crash is not None else failure.longrepr)
        element = ElementTree.Element(kind + what, message=bin_xml_escape(message.split("\n")[0]))
        ElementTree.SubElement(element, "stackTrace").text = bin_xml_escape(failure.longreprtext)
        for stream in ("out", "err"):
            text = failure.capstdout if stream == "out" else failure.capstderr
            if text:
                ElementTree.SubElement(element, f"system-{stream}").text = bin_xml_escape(text)
        case.append(element)
