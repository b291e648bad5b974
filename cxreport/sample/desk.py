"""The support desk: tickets as an account export of Zendesk lists them."""

import numpy as np
import pandas as pd
from numpy.random import Generator

from cxreport.periods import Period
from cxreport.sample.chance import Array, looked_up, pick, season
from cxreport.sample.customers import active_in, leaves_soon
from cxreport.sample.planted import LAST, ZONE, months_since_first
from cxreport.sample.words import AGENTS, SUBJECTS
from cxreport.sample.world import World

TICKETS = 1_500  # a month
VIA = {"Web form": 0.37, "Mobile SDK": 0.24, "Phone call (incoming)": 0.24, "Chat": 0.15}
GROUPS = {"Technical support": 0.45, "Billing": 0.27, "Installations": 0.18, "Retention": 0.1}
PRIORITIES = {"Low": 0.15, "Normal": 0.6, "High": 0.2, "Urgent": 0.05}

_REPLY_MINUTES = {"Web form": 170.0, "Mobile SDK": 130.0, "Phone call (incoming)": 3.0, "Chat": 2.0}  # medians
_WORK_MINUTES = {"Technical support": 540.0, "Billing": 300.0, "Installations": 840.0, "Retention": 240.0}
_COST = {"Web form": 6.5, "Mobile SDK": 5.5, "Phone call (incoming)": 11.0, "Chat": 7.5}  # medians, dollars
_COST_OF_REOPENING = 4.0
_AGAIN, _AGAIN_WITHIN = 0.19, np.timedelta64(7, "D")  # share of tickets that follow another of the same issue
_REOPENED, _FURTHER_REPLIES = 0.1, 0.35  # times per ticket
_OPENS, _OPEN_MINUTES = 8 * 60, 12 * 60  # every day from 08:00 to 20:00
_FIRST_TICKET, _LAST_TICKET = 7 * 60, 22 * 60  # minutes after midnight
_DAY = 24 * 60
_ARCHIVED_AFTER = np.timedelta64(28, "D")
_OFFERED, _RATED, _GOOD = 0.6, 0.3, 0.82  # of the solved, the offered, the rated tickets


def draw_contacts(customers: pd.DataFrame, month: Period, rng: Generator, world: World) -> pd.DataFrame:
    """Return who contacts the desk in a month, when and about what, by time.

    Those who will leave soon write more. Contacts with `is_again` are to follow an earlier one: see `draw_tickets`.
    """
    n = round(TICKETS * (1 + world.busy_season * season(month)))
    active = active_in(customers, month)
    weight = np.cumsum(1 + world.leaving_tickets * leaves_soon(active, month))
    minute = rng.integers(_FIRST_TICKET, _LAST_TICKET, size=n)
    days = rng.integers((month.end - month.start).days, size=n)
    return pd.DataFrame(
        {
            "created_at": np.sort(np.datetime64(month.start, "m") + days * _DAY + minute),
            "number": active.number.to_numpy()[np.searchsorted(weight, rng.random(n) * weight[-1], side="right")],
            "group": pick(rng, GROUPS, n),
            "is_again": rng.random(n) < _AGAIN,
            "place": rng.random(n),
        }
    )


def draw_tickets(  # noqa: PLR0917 - a month needs the one before
    customers: pd.DataFrame, earlier: pd.DataFrame, contacts: pd.DataFrame, month: Period, rng: Generator, world: World
) -> pd.DataFrame:
    """Return the tickets created in a month, one row each, under the labels of the export.

    `earlier` and `contacts` are the contacts of the month before and of this one. Times are local, to the minute. What
    would be solved after the day of the export is still open.
    """
    contacts = _with_repeats(earlier, contacts)
    n = len(contacts)
    requester = customers.iloc[contacts.number - 1].reset_index(drop=True)
    cases = _draw_cases(contacts, month, rng, world)
    state = _states(cases, rng)
    return pd.DataFrame(
        {
            "Summation column": 1,
            "Id": 400_000 + 2_000 * months_since_first(month) + np.arange(n),
            "Requester": requester.name,
            "Requester id": 900_000_000_000 + requester.number,
            "Requester external id": "",
            "Requester email": requester.customer_id.str.lower() + "@example.com",
            "Requester domain": "example.com",
            "Submitter": requester.name,
            **state,
            **_durations(cases),
            "Customer ID [txt]": requester.customer_id,
            "Handling cost [num]": _cost(cases, rng),
        }
    )


def _with_repeats(earlier: pd.DataFrame, contacts: pd.DataFrame) -> pd.DataFrame:
    """Let every contact that `is_again` follow one of the week before it that is not: same customer, same group."""
    firsts = pd.concat([earlier, contacts]).query("not is_again")
    at = contacts.created_at.to_numpy()
    begin, end = np.searchsorted(firsts.created_at, at - _AGAIN_WITHIN), np.searchsorted(firsts.created_at, at)
    follows = (contacts.is_again & (end > begin)).to_numpy()
    followed = firsts.iloc[(begin + contacts.place.to_numpy() * (end - begin)).astype(int)[follows]]
    contacts = contacts.copy()
    contacts.loc[follows, ["number", "group"]] = followed[["number", "group"]].to_numpy()
    return contacts.astype({"number": int})


def _cost(cases: pd.DataFrame, rng: Generator) -> pd.Series:
    """Return what handling the solved tickets cost, in dollars and cents."""
    handling = looked_up(cases.via, _COST) * rng.lognormal(0, 0.35, len(cases))
    return pd.Series(handling + _COST_OF_REOPENING * cases.reopens).map("{:.2f}".format).where(cases.full_done)


def _draw_cases(contacts: pd.DataFrame, month: Period, rng: Generator, world: World) -> pd.DataFrame:
    """Return what happens to each ticket: work in minutes of opening hours, then laid on the clock."""
    n, created, group = len(contacts), contacts.created_at.to_numpy(), contacts.group
    via = pick(rng, VIA, n)
    pace = 1 - world.quicker * months_since_first(month)
    reply = 1 + (looked_up(via, _REPLY_MINUTES) * rng.lognormal(0, 0.8, n) * pace).astype(int)
    work = (looked_up(group, _WORK_MINUTES) * rng.lognormal(0, 1, n) * pace).astype(int)
    reopens = rng.poisson(_REOPENED, n)
    before_reopening = np.where(reopens > 0, work * rng.uniform(0.3, 0.8, n), work).astype(int)
    exported = np.datetime64(LAST.end, "m") + _DAY
    cases = pd.DataFrame(
        {
            "created_at": created,
            "via": via,
            "group": group,
            "priority": pick(rng, PRIORITIES, n),
            "reopens": reopens,
            "reply": reply,
            "first": reply + before_reopening,
            "full": reply + work,
        }
    )
    for step in ("reply", "first", "full"):
        cases[f"{step}_at"] = _on_the_clock(created, cases[step].to_numpy())
        cases[f"{step}_done"] = cases[f"{step}_at"] < exported
    cases["archived"] = exported - cases.full_at > _ARCHIVED_AFTER
    return cases


def _states(cases: pd.DataFrame, rng: Generator) -> dict[str, object]:
    """Return the columns from `Assignee` to `Replies`, in the order of the export."""
    n, solved, replied = len(cases), cases.full_done, cases.reply_done
    agent = np.array(AGENTS, dtype=object)[rng.integers(len(AGENTS), size=n)]
    waiting = np.array(["Open", "Pending", "Hold"], dtype=object)[rng.integers(3, size=n)]
    subject = [
        SUBJECTS[group][int(at * len(SUBJECTS[group]))] for group, at in zip(cases.group, rng.random(n), strict=True)
    ]
    offered, rated, good = rng.random(n) < _OFFERED, rng.random(n) < _RATED, rng.random(n) < _GOOD
    hours = _elapsed_minutes(cases.created_at, cases.full_at) / 60
    return {
        "Assignee": np.where(replied, agent, ""),
        "Group": cases.group,
        "Subject": subject,
        "Tags": cases.group.str.lower().str.replace(" ", "_"),
        "Status": np.select([solved & cases.archived, solved, replied], ["Closed", "Solved", waiting], "New"),
        "Priority": cases.priority,
        "Via": cases.via,
        "Ticket type": np.where(cases.group == "Technical support", "Incident", "Question"),
        "Created at": cases.created_at,
        "Updated at": cases.full_at.where(solved, cases.reply_at.where(replied, cases.created_at)),
        "Assigned at": cases.created_at,
        "Organization": "",
        "Due date": "",
        "Initially assigned at": cases.created_at,
        "Solved at": cases.full_at.where(solved),
        "Resolution time": hours.round().astype("Int64").where(solved),
        "Satisfaction Score": np.select([~solved | ~offered, ~rated, good], ["Not Offered", "Offered", "Good"], "Bad"),
        "Group stations": 1,
        "Assignee stations": 1 + (cases.reopens > 0).astype(int),
        "Reopens": cases.reopens.where(cases.first_done, 0),
        "Replies": np.where(replied, 1 + rng.poisson(_FURTHER_REPLIES, n), 0),
    }


def _durations(cases: pd.DataFrame) -> dict[str, object]:
    """Return the duration columns in minutes, each by the calendar and within business hours; blank until over."""
    columns: dict[str, object] = {}

    def add(label: str, calendar: "pd.Series[int]", business: "pd.Series[int]", done: "pd.Series[bool]") -> None:
        columns[f"{label} time in minutes"] = calendar.astype("Int64").where(done)
        columns[f"{label} time in minutes within business hours"] = business.astype("Int64").where(done)

    for step, label in {"reply": "First reply", "first": "First resolution", "full": "Full resolution"}.items():
        add(label, _elapsed_minutes(cases.created_at, cases[f"{step}_at"]), cases[step], cases[f"{step}_done"])
    calendar, business = _elapsed_minutes(cases.created_at, cases.full_at), cases.full
    add("Agent wait", calendar // 4, business // 4, cases.full_done)
    add("Requester wait", calendar - calendar // 4, business - business // 4, cases.full_done)
    add("On hold", calendar * 0, business * 0, cases.full_done)
    return columns


def _on_the_clock(start: Array, work: Array) -> Array:
    """Return the minute at which so many minutes of opening hours have passed since the start."""
    start = start.astype("datetime64[m]")  # frames hold seconds
    day = start.astype("datetime64[D]")
    worked = np.clip((start - day).astype(int) - _OPENS, 0, _OPEN_MINUTES) + work
    at: Array = day.astype("datetime64[m]") + worked // _OPEN_MINUTES * _DAY + _OPENS + worked % _OPEN_MINUTES
    return at


def _elapsed_minutes(start: pd.Series, end: pd.Series) -> "pd.Series[int]":
    """Return elapsed minutes between local times; where clocks were changed between, not the clocks' difference."""
    minutes: pd.Series[int] = (end.dt.tz_localize(ZONE) - start.dt.tz_localize(ZONE)) // pd.Timedelta(minutes=1)
    return minutes
