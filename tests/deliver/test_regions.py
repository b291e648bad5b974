"""The e-mails of a real run with a pack for each region."""

import re
import subprocess
from email import message_from_bytes
from email.policy import default

import pytest
import yaml

from cxreport.config import Project
from cxreport.sample import write_sample

pytestmark = pytest.mark.soak

REGIONS = ["central", "east", "north", "south", "west"]


@pytest.fixture(scope="module")
def mails(root, run, copy_project, small_report, tmp_path_factory):
    """What the committed settings would send, written to files: audience to its message."""
    project: Project = copy_project(tmp_path_factory.mktemp("regions") / "project", root)
    write_sample(project.sample, months=4)
    path = project.definitions / "regional.yml"
    definition = yaml.safe_load(path.read_text(encoding="utf-8")) | small_report
    path.write_text(yaml.safe_dump(definition, allow_unicode=True), encoding="utf-8")
    run(project, "cxreport run --report regional")
    run(project, "cxreport deliver --report regional --write mails")
    files = {path.stem.rpartition("-")[2]: path for path in (project.root / "mails").iterdir()}
    return {name: message_from_bytes(path.read_bytes(), policy=default) for name, path in files.items()}


def figures(text):
    """Return what the cards of a page say of values and bases."""
    return set(re.findall(r"\d[\d,]* answers", text))


@pytest.mark.parametrize("region", REGIONS)
def test_region_reads_of_itself_alone(mails, tmp_path, region):
    """Page, plain text and PDF name this region and no other, and hold bases that no other region's card has."""
    message = mails[region]
    [attached] = message.iter_attachments()
    (tmp_path / "report.pdf").write_bytes(attached.get_content())
    shown = subprocess.run(["pdftotext", str(tmp_path / "report.pdf"), "-"], capture_output=True, text=True, check=True)
    page, plain = (message.get_body((kind,)).get_content() for kind in ("html", "plain"))
    for text in (page, plain, shown.stdout, str(message["Subject"])):
        assert [name for name in REGIONS if re.search(rf"\b{name}\b", text, re.IGNORECASE)] == [region]
    own = figures(plain)
    others = set().union(
        *(figures(mails[name].get_body(("plain",)).get_content()) for name in REGIONS if name != region)
    )
    assert own - others
    assert figures(shown.stdout) >= own


def test_everybody_has_a_pack(mails):
    """There is an e-mail of every region and one of the whole."""
    assert sorted(mails) == sorted(["all", *REGIONS])
