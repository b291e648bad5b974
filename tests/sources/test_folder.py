"""A folder of exports: what each file is taken for, and drafts that a person completes."""

import io
import zipfile
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
import yaml

from cxreport import cli, sources
from cxreport.config import load_dataset
from cxreport.errors import DefinitionError, UsageError
from cxreport.sources import registry
from cxreport.sources.adapter import Adapter
from cxreport.sources.folder import Looked, look
from cxreport.sources.formats.files import DeliveredFile
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.tools import qualtrics

PLAIN = "ticket id,created,note\n1,2026-09-01,x\n"


class Raising(Adapter):
    """An adapter with a defect."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Fail."""
        raise ZeroDivisionError(glimpse.text)

    def records(self, file, form):
        """Read nothing."""
        raise NotImplementedError


RAISING = Raising()


@pytest.fixture
def raw(company) -> Path:
    """The folder of the exports."""
    return company.deliver("survey/2026-09.csv", company.header + company.rows).parents[1]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch):
    """Return a function that registers adapters as another package does."""

    def register(**values: str) -> None:
        brought = EntryPoints(EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in values.items())
        monkeypatch.setattr(registry, "entry_points", brought.select)

    return register


def drafts(company, looked: Looked) -> dict[str, str]:
    return {path.relative_to(company.project.datasets).as_posix(): path.read_text("utf-8") for path in looked.written}


def test_every_file_is_named_with_what_it_is_and_why(company, raw: Path) -> None:
    """A survey export is recognised by its content, whatever its name; a file of no tool is said to be one."""
    company.deliver("unknown.csv", PLAIN)
    survey, unknown = look(company.project, raw).files
    assert survey.startswith("survey/2026-09.csv: `qualtrics` (")
    assert survey.endswith("; needs a mapping")
    assert unknown == "unknown.csv: no tool recognised; `mapped` reads it with a mapping"


def test_drafts_are_written_once_and_refused_until_reviewed(company, raw: Path) -> None:
    """A dataset names every feed; nothing is read from it as it is, and nothing is overwritten."""
    looked = look(company.project, raw)
    assert set(drafts(company, looked)) == {"mappings/qualtrics.yml", "raw.yml"}
    dataset = load_dataset(company.project, "raw")
    (feed,) = dataset.feeds
    assert (dataset.raw, feed.adapter, feed.files, feed.mapping) == (
        "raw",
        "qualtrics",
        "survey/2026-09.csv",
        "qualtrics.yml",
    )
    with pytest.raises(DefinitionError, match="dataset `raw` is a draft"):
        sources.ingest(company.project, dataset)
    with pytest.raises(DefinitionError, match=r"mapping `qualtrics\.yml` of feed `qualtrics` is a draft"):
        sources.ingest(company.project, dataset.model_copy(update={"draft": False}))
    again = look(company.project, raw)
    assert (again.written, {path.name for path in again.kept}) == ((), {"qualtrics.yml", "raw.yml"})


def test_a_reviewed_draft_can_be_read(company, raw: Path) -> None:
    """Without its line `draft: true` the draft of a survey that a tool describes reads its file."""
    for path in look(company.project, raw).written:
        path.write_text(path.read_text("utf-8").replace("draft: true\n", ""), "utf-8")
    rows = sources.ingest(company.project, load_dataset(company.project, "raw"))
    assert rows["responses"] == 5
    assert rows["answers"] >= 5


def test_files_of_one_kind_are_one_feed(company, raw: Path) -> None:
    """Months of one export share a pattern; another export in the folder does not match it."""
    company.deliver("survey/2026-08.csv", company.header + company.rows.replace("R_", "S_"))
    company.deliver("survey/other.csv", PLAIN)
    look(company.project, raw)
    feeds = {feed.adapter: feed.files for feed in load_dataset(company.project, "raw").feeds}
    assert feeds == {"qualtrics": "survey/2026-0*.csv", "mapped": "survey/other.csv"}


def test_archives_are_looked_into_and_not_unpacked(company, raw: Path) -> None:
    """Members have lines of their own; an archive of several kinds is no feed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/answers.csv", company.header + company.rows)
        archive.writestr("tickets.csv", PLAIN)
    company.deliver("all.zip", packed.getvalue())
    before = set(raw.rglob("*"))
    lines = look(company.project, raw).files
    assert [line.split(":")[0] for line in lines[:2]] == ["all.zip/answers.csv", "all.zip/tickets.csv"]
    assert set(raw.rglob("*")) == before
    assert [feed.files for feed in load_dataset(company.project, "raw").feeds] == ["survey/2026-09.csv"]


def test_two_adapters_for_one_file_are_a_question(company, raw: Path, others) -> None:
    """Neither is chosen, and the file is in no draft."""
    others(another=f"{qualtrics.__name__}:ADAPTER")
    looked = look(company.project, raw)
    assert looked.files == ("survey/2026-09.csv: is it for `another` or `qualtrics`? name one in a feed",)
    assert looked.written == ()


def test_an_adapter_that_fails_is_reported_and_left_out(company, raw: Path, others, monkeypatch) -> None:
    """What another package does wrong stops nobody, and its message, which may quote the file, is not shown."""
    monkeypatch.setattr(qualtrics, "RAISING", RAISING, raising=False)
    others(broken=f"{qualtrics.__name__}:RAISING", absent="no_such_package:ADAPTER")
    looked = look(company.project, raw)
    assert looked.failed == (
        "the adapter `absent` failed (ModuleNotFoundError) and was left out",
        "the adapter `broken` failed (ZeroDivisionError) and was left out",
    )
    assert "`qualtrics`" in looked.files[0]
    assert list(sources.recognise(DeliveredFile("x.csv", raw / "survey" / "2026-09.csv"))) == ["qualtrics"]


def test_broken_files_are_named_with_the_reason(company, raw: Path) -> None:
    """An unreadable file does not hide the others."""
    company.deliver("cut.zip", b"PK\x03\x04 and nothing more")
    cut, survey = look(company.project, raw).files
    assert cut == "cut.zip: the archive is broken, encrypted or packed in an unusual way"
    assert "`qualtrics`" in survey


def test_an_empty_folder_is_wrong_use(company, tmp_path: Path) -> None:
    """A folder that is not there, or holds nothing, is said to be so."""
    with pytest.raises(UsageError, match="no such folder"):
        look(company.project, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no files"):
        look(company.project, tmp_path / "empty")


def test_the_command_prints_lines_and_what_to_do_next(company, raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`cxreport ingest FOLDER` needs no report, reads nothing into tables and ends well."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["ingest", str(raw), "--project", str(company.project.root)])
    printed = capsys.readouterr().out.splitlines()
    assert not ended.value.code
    assert printed[0].startswith("survey/2026-09.csv: `qualtrics`")
    assert printed[-1].startswith("Next: review `qualtrics.yml`, `raw.yml`, remove the line `draft: true`")
    assert not (company.project.root / "data").exists()


def test_names_with_personal_data_are_masked(company, raw: Path) -> None:
    """What is printed and drafted of a file's name holds no address."""
    company.deliver("of ann@example.com!.csv", PLAIN)
    looked = look(company.project, raw)
    assert looked.files[0].startswith("of [e-mail]")
    feed = yaml.safe_load((company.project.datasets / "raw.yml").read_text())["feeds"][0]
    assert (feed["id"], feed["files"]) == ("of_e_mail", "of *!.csv")
