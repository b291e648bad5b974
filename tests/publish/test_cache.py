"""A kept result counts only while what it was made from and its own files are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.errors import UsageError
from cxreport.publish import making
from cxreport.publish.cache import Cache, digest_of, digests
from cxreport.publish.workers import Workers

INPUTS = {"notebook": "1", "parameters": "2"}


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", tmp_path)


@pytest.fixture
def kept(cache, tmp_path):
    """Keep a result of two files, and of one that lies in the project."""
    made = tmp_path / "made"
    for name in ("page.html", "notebooks/page.ipynb"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    (tmp_path / "rows").write_text("rows")
    files = [made / "page.html", made / "notebooks/page.ipynb", made / "none.pdf"]
    cache.keep("all/page", INPUTS, folder=made, files=files, placed=[tmp_path / "rows"])
    return made


@pytest.mark.usefixtures("kept")
def test_result_counts_while_nothing_changes(cache, tmp_path):
    """The files are put where they are wanted, those that were never made are not, and what stood there is replaced."""
    assert cache.reasons("all/page", INPUTS) == []
    (tmp_path / "new").mkdir()
    (tmp_path / "new/page.html").write_text("old")
    cache.restore("all/page", tmp_path / "new")
    assert digests((tmp_path / "new").rglob("*"), tmp_path / "new") == digests(
        (tmp_path / "made").rglob("*"), tmp_path / "made"
    )


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("inputs", "reasons"),
    [
        ({"notebook": "3", "parameters": "2"}, ["notebook"]),
        ({"notebook": "1"}, ["parameters"]),
        (INPUTS | {"rows": "4", "figures": "5"}, ["figures", "rows"]),
    ],
)
def test_changed_inputs_are_named(cache, inputs, reasons):
    """Another, a missing and a further input each make the result count no more."""
    assert cache.reasons("all/page", inputs) == reasons


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("name", ["cache/all/page/page.html", "rows"])
@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_changed_files_of_a_result_are_noticed(cache, tmp_path, name, change):
    """A kept file, or one in the project, that was edited or deleted makes the result count no more."""
    path = tmp_path / name
    path.unlink() if change == "deleted" else path.write_text("other")
    assert cache.reasons("all/page", INPUTS) == ["result"]


@pytest.mark.usefixtures("kept")
def test_broken_record_is_no_record(cache):
    """A record that a full disk cut off means that there is no result."""
    record = cache.folder / "all/page.json"
    whole = record.read_text()
    for text in (whole[: len(whole) // 2], "[]", '{"inputs": {}}', ""):
        record.write_text(text)
        assert cache.reasons("all/page", INPUTS) == ["new"]


@pytest.mark.usefixtures("kept")
def test_forced_and_forgotten_results_do_not_count(cache, tmp_path):
    """Nothing counts where a run is forced, and a forgotten result leaves no file."""
    assert Cache(cache.folder, tmp_path, forced=True).reasons("all/page", INPUTS) == ["forced"]
    cache.forget("all/page")
    assert cache.reasons("all/page", INPUTS) == ["new"]
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.text()))
def test_digests_tell_contents_apart(one, other):
    """Two contents have one digest only if they are equal, whatever their order."""
    assert (digest_of(one) == digest_of(other)) == (one == other)
    assert digest_of(dict(reversed(one.items()))) == digest_of(one)


def test_every_step_is_explained(cache):
    """Why a page was made is told in words; an unknown page is refused with the nearest one."""
    with pytest.raises(UsageError, match="no run that made anything"):
        making.explained(cache, "30_page", "")
    maker = making.Maker(cache, Workers(), {}, print)
    maker.why = {
        "all/30_page": [],
        "north/30_page": ["new"],
        "north/report": ["notebooks/30_page.ipynb", "title and foot"],
    }
    with maker.explaining():
        pass
    assert making.explained(cache, "30_page", "").endswith(
        "taken over, because nothing that it is made from had changed"
    )
    assert making.explained(cache, "30_page", "north").endswith("because there was none")
    assert making.explained(cache, "report", "north") == (
        "report for north: made by the last run, because of what had changed: notebooks/30_page.ipynb, title and foot"
    )
    with pytest.raises(UsageError, match="did you mean `all/30_page`"):
        making.explained(cache, "30_pag", "")
