"""Two runs of the same period at once: one publishes, the other waits, and what they leave is what one alone would."""

import random
import time

import pytest

PAIRS = 20
WAITS, STANDS = "Waiting for another run to finish", "Nothing has changed since"
START = 1.5  # seconds in which a run comes to hold the archive


@pytest.mark.soak
def test_racing_runs_leave_one_issue(company):
    """Twenty pairs, of some of which one run is killed: the other one publishes what a run alone would."""
    seeded = random.Random(20260903)
    ways = ("changed", "forced")  # nobody takes away what a run has kept while it runs
    took = {way: company.publish(*company.begin(way)) for way in ways}
    waited = 0
    for pair in range(PAIRS):
        day, way, is_killed = company.other(company.standing()), ways[pair % 2], pair % 4 == 3
        arguments = company.begin(way)
        with company.start(*arguments) as first:
            time.sleep(seeded.uniform(0, START if pair % 3 else took[way] / 2))
            with company.start(*arguments) as second:
                one, other = seeded.sample([first, second], 2)
                if is_killed:
                    time.sleep(seeded.uniform(0, took[way]))
                    one.kill()
                told = [run.communicate()[1] for run in (one, other)]
        assert other.returncode == 0, told[1]
        if not is_killed:
            assert one.returncode == 0, told[0]
            waits = sum(WAITS in text for text in told)
            assert waits <= 1
            waited += waits
            assert sum(STANDS in text for text in told) == (way == "changed")
        company.require_whole(day)
        company.require_undisturbed(day)
        company.require_no_process()
    assert waited > PAIRS / 4
