"""All files of the sample company."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from cxreport.errors import UsageError
from cxreport.periods import Period
from cxreport.sample.actions import write_actions
from cxreport.sample.billing import current_values, draw_orders, draw_spells, write_subscriptions
from cxreport.sample.chance import stream
from cxreport.sample.customers import draw_customers, write_accounts
from cxreport.sample.desk import draw_contacts, draw_tickets
from cxreport.sample.planted import LAST, MONTHS
from cxreport.sample.survey import draw_wave, write_invitations, write_survey
from cxreport.sample.voices import draw_pulse, draw_reviews
from cxreport.sample.web import draw_journeys, draw_visits, events_of
from cxreport.sample.world import HALDEN, PLACEBO, World
from cxreport.sample.writing import write_csv

_LEAST_MONTHS = 2  # late answers need the month before the last

_OWN_FILES = (
    "actions/actions.csv",
    "billing/subscriptions.csv",
    "invitations/invitations_????-??.csv",
    "orders/orders_????-??.csv",
    "people/pulse_????-??.csv",
    "qualtrics/survey_????-??.csv",
    "reviews/reviews_????-??.csv",
    "salesforce/accounts.csv",
    "web/events_????-??.csv",
    "zendesk/tickets_????-??.csv",
)


def write_sample(
    folder: Path,
    seed: int = 20260901,
    months: int = MONTHS,
    tell: Callable[[str], None] | None = None,
    *,
    planted: bool = True,
) -> list[Path]:
    """Write the sample company's raw files and return their paths, sorted.

    Parameters
    ----------
    folder
        Receives `actions/`, `billing/`, `invitations/`, `orders/`, `people/`, `qualtrics/`, `reviews/`, `salesforce/`,
        `web/` and `zendesk/`. Sample files of an earlier run are replaced, other files are left alone.
    seed
        The same seed gives the same bytes. Each file has its own random stream, so a month is the same in a short
        sample as in a long one.
    months
        2 to 25, the last one being September 2026.
    tell
        Called with a line per kind of file.
    planted
        False for the placebo: the same company without any link, trend or difference between groups of customers, and
        without spoilt rows. What is found there was found by chance.

    Raises
    ------
    UsageError
        When `months` lies outside its range.
    """
    if not _LEAST_MONTHS <= months <= MONTHS:
        raise UsageError(
            found=f"a sample of {months} months",
            expected=f"{_LEAST_MONTHS} to {MONTHS} months",
            do="choose a number in that range",
        )
    say, world = tell or _nothing, HALDEN if planted else PLACEBO
    for path in [path for pattern in _OWN_FILES for path in folder.glob(pattern)]:
        path.unlink()
    covered = [LAST.shift(step) for step in range(1 - months, 1)]

    customers = draw_customers(stream(seed, "customers"), world)
    spells = draw_spells(customers, stream(seed, "subscriptions"))
    customers = customers.assign(current_value=current_values(spells))
    written = [
        write_accounts(customers, folder / "salesforce" / "accounts.csv", stream(seed, "accounts")),
        write_subscriptions(spells, folder / "billing" / "subscriptions.csv"),
        write_actions(folder / "actions" / "actions.csv", stream(seed, "actions")),
    ]
    say(f"customers: {len(customers):,}")

    waves = [draw_wave(customers, month, stream(seed, "survey", month), world) for month in covered]
    for month, wave in zip(covered, waves, strict=True):
        previews = stream(seed, "previews", month)
        written.append(write_survey(wave, folder / "qualtrics" / f"survey_{month}.csv", previews))
    say(f"survey responses: {sum(int(wave.finished.sum()) for wave in waves):,}")

    written += write_invitations(pd.concat(waves), covered, folder / "invitations")
    say(f"invitations: {sum(map(len, waves)):,}")

    written += _write_tickets(customers, covered, folder / "zendesk", seed, world)
    journeys = draw_journeys(customers, stream(seed, "journeys"))
    for month in covered:
        orders = draw_orders(customers, spells, month, stream(seed, "orders", month))
        written.append(write_csv(orders, folder / "orders" / f"orders_{month}.csv", dates="%Y-%m-%d"))
        visits = draw_visits(customers, month, stream(seed, "visits", month))
        written.append(write_csv(events_of(month, visits, journeys), folder / "web" / f"events_{month}.csv"))
        reviews = draw_reviews(month, stream(seed, "reviews", month), world)
        written.append(write_csv(reviews, folder / "reviews" / f"reviews_{month}.csv"))
        pulse = draw_pulse(month, stream(seed, "pulse", month), world)
        written.append(write_csv(pulse, folder / "people" / f"pulse_{month}.csv", dates="%Y-%m-%d"))
    say(f"tickets, orders, web events, reviews and employees' answers of {months} months")
    return sorted(written)


def _write_tickets(
    customers: pd.DataFrame, covered: list[Period], folder: Path, seed: int, world: World
) -> Iterator[Path]:
    def contacts(month: Period) -> pd.DataFrame:
        return draw_contacts(customers, month, stream(seed, "contacts", month), world)

    earlier = contacts(covered[0].previous)
    for month in covered:
        now = contacts(month)
        tickets = draw_tickets(customers, earlier, now, month, stream(seed, "tickets", month), world)
        yield write_csv(tickets, folder / f"tickets_{month}.csv", dates="%Y-%m-%d %H:%M")
        earlier = now


def _nothing(_: str) -> None:
    """Tell nobody."""
