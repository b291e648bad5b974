"""When the sample plays, and what is hidden in it."""

from dataclasses import dataclass

from cxreport.periods import Period


@dataclass(frozen=True)
class Planted:
    """The truths of the last month, then those of all months; falls and rises are in points."""

    month: str = "2026-09"
    previous: str = "2026-08"
    touchpoint: str = "Installation visit"  # its CSAT top-two share falls, no other touchpoint's does
    csat_fall_points: float = 25.0
    channels_up: tuple[str, ...] = ("phone", "chat")  # NPS falls because their share of the answers grows ...
    nps_fall_points: float = 8.0
    nps_rise_points: float = 1.0  # ... although the NPS of every channel rises, by this at least
    rare_language: str = "vi"
    rare_answers: int = 6  # NPS answers, and as many CSAT answers; nobody is asked for effort in this language
    late_after_days: int = 30
    late_answers: int = 14  # given more than so many days after the invitation
    repeated_responses: int = 9  # delivered a second time, identical
    nps_outside: tuple[int, ...] = (11, 12, 11, 12, 11)  # scores beyond the scale, one row each
    csat_outside: tuple[int, ...] = (0, 6, 0, 6)
    email: str = "my.own.name@example.com"  # in one comment
    phone: str = "312-555-0142"  # in one comment
    review_email: str = "not.a.fan@example.com"  # in one review
    drivers: tuple[str, ...] = ("emotion", "success", "effort")  # of recommending, the strongest first
    subgroup: tuple[str, str] = ("central", "basic")  # scores far below what its region and its plan tell ...
    subgroup_gap_points: float = 33.0  # ... by about this much NPS
    leaving_ratio: float = 2.2  # times as many detractors as others leave within ...
    leaving_days: int = 180  # ... so many days after their answer
    tickets_ratio: float = 2.0  # times as many tickets a month come from those who leave soon
    improved: str = "Outage notice"  # the touchpoint of the one action that works; its CSAT top-two share rises ...
    improved_since: str = "2025-10"
    improvement_points: float = 16.0
    resolved_at_first_contact: float = 0.72  # of the cases: not reopened, none of the same team within a week


PLANTED = Planted()

LAST = Period.parse(PLANTED.month)
MONTHS = 25
FIRST = LAST.shift(1 - MONTHS)
ZONE = "America/Chicago"


def months_since_first(month: Period) -> int:
    """Return 0 for the first month of a full sample, 24 for the last.

    >>> months_since_first(LAST)
    24
    """
    return (month.start.year - FIRST.start.year) * 12 + month.start.month - FIRST.start.month
