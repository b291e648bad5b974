"""What a run tells of its steps: how many are over, and how long the rest will take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxreport.publish.progress import Progress

STEPS = ["all/20_measure", "north/30_page", "north/report", "south/30_page", "south/report"]


@pytest.fixture
def said():
    return []


def test_rest_is_what_such_steps_took_before_on_all_processes(said):
    """Steps that wait for each other count whole, those side by side by the number of processes."""
    progress = Progress(said.append, jobs=2, known={"20_measure": 20.0, "30_page": 2.0, "report": 4.0})
    progress.expect(STEPS[:1])
    progress.expect(STEPS[1:], side_by_side=True)
    assert progress.left == 20 + (2 + 4 + 2 + 4) / 2
    progress.made("all/20_measure", 30)
    progress.kept("north/30_page")
    assert [(str(event), event.state, event.done, event.of, event.left) for event in said] == [
        ("20_measure", "made", 1, 5, 6.0),
        ("30_page for north", "kept", 2, 5, 5.0),
    ]
    assert (said[0].seconds, said[1].seconds) == (30, None)


def test_rest_is_unknown_while_steps_are_that_nobody_timed(said):
    """An estimate comes once all kinds of steps are known and each was timed once, in this run or an earlier one."""
    progress = Progress(said.append)
    progress.expect(STEPS[:1], more=True)
    progress.made("all/20_measure", 5)
    assert said[-1].left is None  # pages will follow
    progress.expect(STEPS[1:], side_by_side=True)
    progress.made("north/30_page", 1)
    assert said[-1].left is None  # nobody knows what a report takes
    progress.made("north/report", 3)
    assert said[-1].left == 1 + 3
    progress.failed("south/30_page")
    progress.drop(["south/report"])
    assert progress.left == 0


def test_times_are_remembered_between_runs(said, tmp_path):
    """The next run knows them from the start; a memory that is no longer readable is as good as none."""
    memory = tmp_path / "kept" / "times.json"

    def fail():
        with Progress.remembering(said.append, 1, memory) as progress:
            progress.made("all/20_measure", 5.004)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with Progress.remembering(said.append, 1, memory) as progress:
        progress.expect(STEPS[:1])
        assert progress.left == 5
    for broken in ("", "[1]", '{"20_measure": "long"}', '{"20_measure": null}'):
        memory.write_text(broken)
        with Progress.remembering(said.append, 1, memory) as progress:
            progress.expect(STEPS[:1])
            assert progress.left is None


@given(st.permutations(STEPS), st.lists(st.sampled_from(["made", "kept", "failed"]), min_size=5, max_size=5))
def test_counts_never_go_back(order, ends):
    """However steps end, and in whatever order, one more is over each time, and at last all are and nothing is left."""
    said = []
    progress = Progress(said.append)
    progress.expect(STEPS)
    for step, end in zip(order, ends, strict=True):
        progress.begun(step)
        progress.made(step, 1.0) if end == "made" else getattr(progress, end)(step)
    over = [event for event in said if event.state != "begun"]
    assert [(event.done, event.of) for event in over] == [(number, 5) for number in range(1, 6)]
    assert over[-1].left == 0
