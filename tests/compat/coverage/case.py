import json
import subprocess

from case import Case


def output(run, folder):
    """Lines and branches that all processes of the run together have met."""
    python = folder.parents[3] / "phalanx" / "bin" / "python"
    for command in (["combine", "-q"], ["json", "-q", "-o", "cov.json"]):
        subprocess.run([python, "-m", "coverage", *command], cwd=folder, check=True, timeout=60)
    data = json.loads((folder / "cov.json").read_text())
    return {
        f"lines of {name}": [file["executed_lines"], file["missing_branches"]]
        for name, file in data["files"].items()
    }


CASE = Case(
    plugin="coverage",
    files_of="cov",
    exercises="coverage that `COVERAGE_PROCESS_START` begins in every Python of the run, without a plugin: lines run "
    "at import, before there are workers, and in them; data of each process, combined",
    load=[],
    environment={"COVERAGE_PROCESS_START": ".coveragerc"},
    output=output,
)
