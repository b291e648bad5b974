"""Print environment.yml: the direct dependencies at the versions of the locks, plus Quarto, for conda users."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Names that differ on conda-forge, and packages it does not carry in the same form.
CONDA_NAME = {"duckdb": "python-duckdb", "matplotlib": "matplotlib-base", "tzdata": "python-tzdata"}
PIP_ONLY = {"font-lato", "pdfua", "pypandoc-binary", "typst"}
QUARTO = "1.9.*"


def environment() -> str:
    """Return the text of environment.yml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = sorted({_name(line) for line in [*project["dependencies"], *extras["lab"], *extras["dev"]]})
    versions = _locked("lab.lock") | _locked("run.lock")
    conda = [f"{CONDA_NAME.get(name, name)}={versions[name]}" for name in wanted if name not in PIP_ONLY]
    pip = [f"{name}=={versions[name]}" for name in wanted if name in PIP_ONLY]
    lines = [
        "# Made by `make lock` from pyproject.toml and the locks; do not edit by hand.",
        "# conda env create -f environment.yml && conda activate cxreport && cxreport run",
        "name: cxreport",
        "channels: [conda-forge, nodefaults]",
        "dependencies:",
        "  - python=3.12",
        f"  - quarto={QUARTO}",
        "  - make",
        "  - pip",
        *(f"  - {entry}" for entry in conda),
        "  - pip:",
        *(f"      - {entry}" for entry in pip),
        "      - --editable .",
    ]
    return "\n".join(lines) + "\n"


def _locked(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", text, re.MULTILINE))


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9-]+", requirement)
    assert match, requirement
    return match[0].lower()


if __name__ == "__main__":
    print(environment(), end="")
