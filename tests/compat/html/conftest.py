import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.column = f"a column of {item.name}"


def pytest_html_results_table_header(cells):
    cells.insert(2, "<th>Column</th>")


def pytest_html_results_table_row(report, cells):
    cells.insert(2, f"<td>{getattr(report, 'column', '')}</td>")


def pytest_html_report_title(report):
    report.title = "a title"


@pytest.fixture(scope="session", autouse=True)
def more_metadata(metadata):
    metadata["measured"] = "in a fixture"
