import html
import json
import re

from case import Case


def output(run, folder):
    """The rows of the report with their extras and logs, and its table of the environment."""
    text = (folder / "report.html").read_text()
    blob = re.search(r'data-jsonblob="([^"]*)"', text)
    data = json.loads(html.unescape(blob[1]))
    rows = {}
    for nodeid, tries in data["tests"].items():
        rows[nodeid] = sorted(
            (
                entry["result"],
                [extra["name"] for extra in entry["extras"]],
                "said by the test" in entry["log"],
                "a column" in json.dumps(entry["resultsTableRow"]),
            )
            for entry in tries
        )
    environment = {k: v for k, v in data["environment"].items() if k not in ("Plugins", "Packages")}
    return {
        "rows": rows,
        "environment": environment,
        "counts in it": re.findall(r"(\d+ \w+)</span>", text),
    }


CASE = Case(
    plugin="pytest-html",
    exercises="`--html`, extras, `pytest_html_results_table_row`, captured output, pytest-metadata's table, "
    "which the workers write into `workeroutput`",
    load=["html", "html_fixtures", "metadata"],
    steps=[["--html=report.html", "--self-contained-html", "--metadata", "branch", "main"]],
    output=output,
    requires=["pytest-metadata"],
)
