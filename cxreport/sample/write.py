"""All files of the sample company."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cxreport.errors import UsageError
from cxreport.sample.chance import stream
from cxreport.sample.customers import draw_customers, write_accounts
from cxreport.sample.desk import draw_tickets
from cxreport.sample.orders import draw_orders
from cxreport.sample.planted import LAST, MONTHS
from cxreport.sample.survey import draw_wave, write_invitations, write_survey
from cxreport.sample.writing import write_csv

_LEAST_MONTHS = 2  # late answers need the month before the last

_OWN_FILES = (
    "invitations/invitations_????-??.csv",
    "orders/orders_????-??.csv",
    "qualtrics/survey_????-??.csv",
    "salesforce/accounts.csv",
    "zendesk/tickets_????-??.csv",
)


def write_sample(
    folder: Path, seed: int = 20260901, months: int = MONTHS, tell: Callable[[str], None] | None = None
) -> list[Path]:
    """Write the sample company's raw files and return their paths, sorted.

    Parameters
    ----------
    folder
        Receives `invitations/`, `orders/`, `qualtrics/`, `salesforce/` and `zendesk/`. Sample files of an earlier
        run are replaced, other files are left alone.
    seed
        The same seed gives the same bytes. Each file has its own random stream, so a month is the same in a short
        sample as in a long one.
    months
        2 to 25, the last one being September 2026.
    tell
        Called with a line per kind of file.

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
    say = tell or _nothing
    for path in [path for pattern in _OWN_FILES for path in folder.glob(pattern)]:
        path.unlink()
    covered = [LAST.shift(step) for step in range(1 - months, 1)]

    customers = draw_customers(stream(seed, "customers"))
    written = [write_accounts(customers, folder / "salesforce" / "accounts.csv", stream(seed, "accounts"))]
    say(f"customers: {len(customers):,}")

    waves = [draw_wave(customers, month, stream(seed, "survey", month)) for month in covered]
    for month, wave in zip(covered, waves, strict=True):
        previews = stream(seed, "previews", month)
        written.append(write_survey(wave, folder / "qualtrics" / f"survey_{month}.csv", previews))
    say(f"survey responses: {sum(int(wave.finished.sum()) for wave in waves):,}")

    written += write_invitations(pd.concat(waves), covered, folder / "invitations")
    say(f"invitations: {sum(map(len, waves)):,}")

    for month in covered:
        tickets = draw_tickets(customers, month, stream(seed, "tickets", month))
        written.append(write_csv(tickets, folder / "zendesk" / f"tickets_{month}.csv", dates="%Y-%m-%d %H:%M"))
        orders = draw_orders(customers, month, stream(seed, "orders", month))
        written.append(write_csv(orders, folder / "orders" / f"orders_{month}.csv", dates="%Y-%m-%d"))
    say(f"tickets and orders of {months} months")
    return sorted(written)


def _nothing(_: str) -> None:
    """Tell nobody."""
