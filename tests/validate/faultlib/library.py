"""The faults: what may be wrong with a delivery, at a subtle and a gross level, and what must come of it.

The outcomes were decided by what a CX team needs, not by what the checks do: a figure that may be wrong stops, a figure
that is right without some rows or beside something unusual is published with a footnote, and what changes no figure is
let through.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from faultlib.export import EARLIER, LONG_AGO, MONTH, Record, Spoil
from faultlib.spoil import (
    added,
    cells,
    content,
    copied,
    cut_mid_row,
    day_for_month,
    day_of,
    dropped,
    each,
    first_rows,
    flipped,
    glued,
    gone,
    headers_swapped,
    kept,
    later,
    mojibake,
    more,
    plus,
    renamed,
    reordered,
    serial,
    table,
    times,
    together,
    where,
    written,
)

Kind = Literal["feed", "meaning", "rows"]
Outcome = Literal["stopped", "rejected", "footnoted", "accepted"]
INGEST = "ingest: "  # what begins so is no rule, but words of the message with which the ingest stops
FOOTNOTE = "footnote: "  # and these are words of a footnote


@dataclass(frozen=True)
class Level:
    """How far a fault goes, what must come of it, and the rule that finds it (none for what is accepted)."""

    size: str
    spoil: Spoil
    outcome: Outcome
    rule: str = ""


@dataclass(frozen=True)
class Fault:
    """Something that happens to deliveries."""

    id: str
    kind: Kind
    what: str
    subtle: Level
    gross: Level


def stopped(size: str, spoil: Spoil, rule: str) -> Level:
    return Level(size, spoil, "stopped", rule)


def rejected(size: str, spoil: Spoil, rule: str) -> Level:
    return Level(size, spoil, "rejected", rule)


def footnoted(size: str, spoil: Spoil, rule: str) -> Level:
    return Level(size, spoil, "footnoted", rule)


def accepted(size: str, spoil: Spoil, rule: str = "") -> Level:
    return Level(size, spoil, "accepted", rule)


def of_rows(
    fault: str, what: str, spoil: "Spoiling", rule: str, *, few: float = 0.01, many: float = 0.3, stopper: str = ""
) -> Fault:
    """Return a fault of single rows: few are rejected, and many stop the run."""
    return Fault(
        fault,
        "rows",
        what,
        rejected(f"{few:.1%} of the rows", spoil(few), rule),
        stopped(f"{many:.0%} of the rows", spoil(many), stopper or rule),
    )


class Spoiling:
    """A way to spoil of which only the share of rows is open yet."""

    def __init__(self, feed: str, column: str, change, only=None) -> None:
        self._of = (feed, column, change)
        self._only = only

    def __call__(self, share: float) -> Spoil:
        return cells(*self._of, share, self._only)


# --- feeds -----------------------------------------------------------------------------------------


_LOGIN = "<!DOCTYPE html>\r\n<html><head><title>Sign in</title></head><body><form></form></body></html>\r\n"
_GERMAN = {  # of the help desk's export
    "Id": "ID",
    "Status": "Status des Tickets",
    "Created at": "Erstellt am",
    "Group": "Gruppe",
    "Priority": "Priorität",
    "Reopens": "Wiedereröffnungen",
    "Replies": "Antworten",
}
_NAMES = ("note", "owner", "batch", "exported_by", "queue", "source_system")


def _unescaped(share: int):
    """Return a change that puts a lone quote into one of so many lines that hold none."""

    def change(text: str) -> str:
        head, *lines = text.split("\r\n")
        return "\r\n".join(
            [
                head,
                *(
                    line.replace(",", ',"', 1) if number % share == share - 1 and '"' not in line else line
                    for number, line in enumerate(lines)
                ),
            ]
        )

    return change


def _without_days(first: int, last: int) -> Spoil:
    return kept("tickets", 0.0, lambda record: first <= int(record["Created at"][8:10]) <= last)


def _renumbered(column: str):
    def renumber(record: Record, number: int) -> None:
        record[column] = f"X{number:07d}"

    return renumber


def _without_answers(question: str, share: float) -> Spoil:
    return cells("survey", question, "", share)


def _of_feeds() -> Iterable[Fault]:
    yield Fault(
        "feed_absent",
        "feed",
        "A feed delivers no file at all.",
        stopped("the reviews", gone("reviews"), INGEST + "no file matches"),
        stopped("the survey", gone("survey"), INGEST + "no file matches"),
    )
    yield Fault(
        "file_empty",
        "feed",
        "A file of the month is empty.",
        stopped("a header without rows", table("reviews", first_rows(0)), "month_has_rows"),
        stopped("no byte in the survey", content("survey", lambda _: ""), INGEST),
    )
    yield Fault(
        "month_absent",
        "feed",
        "The file of the reported month is not there.",
        stopped("of the reviews", gone("reviews", MONTH), "month_has_rows"),
        stopped("of the invitations", gone("invitations", MONTH), "month_has_rows"),
    )
    yield Fault(
        "period_missing",
        "feed",
        "The file of an earlier month is not there any more.",
        footnoted("reviews of three months ago", gone("reviews", LONG_AGO), "period_missing"),
        footnoted("the survey of the month before", gone("survey", EARLIER), FOOTNOTE + "was stopped by the checks"),
    )
    yield Fault(
        "cut_mid_row",
        "feed",
        "A file ends in the middle of a row, as broken downloads do.",
        stopped("after 99% of the survey", content("survey", cut_mid_row(0.99)), "file_not_truncated"),
        stopped("after half of the orders", content("orders", cut_mid_row(0.5)), "file_not_truncated"),
    )
    yield Fault(
        "cut_at_row",
        "feed",
        "A file ends early, at the end of a row, as exports with a limit of rows do.",
        footnoted("after 83% of the events", table("events", first_rows(0.83)), "days_covered"),
        stopped("after 30% of the survey", table("survey", first_rows(0.3)), "days_not_missing"),
    )
    yield Fault(
        "days_missing",
        "feed",
        "Days are missing within the month.",
        footnoted("five days of the tickets", _without_days(12, 16), "days_covered"),
        stopped("18 days of the tickets", _without_days(8, 25), "days_not_missing"),
    )
    yield Fault(
        "wrong_encoding",
        "feed",
        "A file is encoded in another way than the others.",
        stopped("Windows-1252", content("reviews", lambda text: text.encode("cp1252")), INGEST + "not encoded"),
        stopped("UTF-16 without a mark", content("survey", lambda text: text.encode("utf-16-le")), INGEST),
    )
    yield Fault(
        "mojibake",
        "feed",
        "Text was read in the wrong encoding before it was exported: accents became two signs.",
        footnoted("Spanish reviews", cells("reviews", "text", mojibake), "text_legible"),
        footnoted("all comments", cells("survey", "QID5_TEXT", mojibake), "text_legible"),
    )
    yield Fault(
        "wrong_delimiter",
        "feed",
        "A file is delimited by another sign than the others.",
        stopped("tabs, in an earlier month", written("reviews", delimiter="\t", month=EARLIER), INGEST + "delimiter"),
        stopped("semicolons, in the orders", written("orders", delimiter=";"), INGEST + "delimiter"),
    )
    yield Fault(
        "header_renamed",
        "feed",
        "A column that is needed has another name.",
        stopped("`kind` of orders is `Kind`", renamed("orders", {"kind": "Kind"}), INGEST + "no column `kind`"),
        stopped("the NPS question is `QID21`", renamed("survey", {"QID1": "QID21"}), INGEST + "no column `QID1`"),
    )
    yield Fault(
        "header_localised",
        "feed",
        "The user who exported has the tool in another language.",
        stopped("one column", renamed("invitations", {"status": "Zustand"}), INGEST + "no column `status`"),
        stopped("seven columns of the tickets", renamed("tickets", _GERMAN), "ticket_id_present"),
    )
    yield Fault(
        "columns_reordered",
        "feed",
        "The columns stand in another order, each with its header.",
        accepted("two of them", reordered("orders", lambda order: [1, 0, *order[2:]])),
        accepted("all of them", reordered("survey", lambda order: order[::-1])),
    )
    yield Fault(
        "headers_swapped",
        "feed",
        "Headers stand over other columns' data.",
        stopped("order and customer", headers_swapped("orders", "order_id", "customer_id"), "customers_not_missing"),
        stopped("satisfaction and effort", headers_swapped("survey", "QID2", "QID4"), "score_not_above_scale"),
    )
    yield Fault(
        "columns_added",
        "feed",
        "Columns are new which no figure needs.",
        accepted("one", added("tickets", ["Brand"], lambda _: "Halden")),
        accepted("six", added("orders", list(_NAMES), str)),
    )
    yield Fault(
        "columns_gone",
        "feed",
        "Columns are not exported any more.",
        accepted("one that no figure needs", dropped("survey", "DistributionChannel")),
        stopped("the amounts of orders", dropped("orders", "amount"), INGEST + "no column `amount`"),
    )
    yield Fault(
        "column_blank",
        "feed",
        "A column is still there, but blank.",
        footnoted("half of the channels", cells("invitations", "channel", "", 0.5), "level_volume_usual"),
        stopped("customers of the survey", cells("survey", "ExternalReference", ""), "ids_not_blank"),
    )
    yield Fault(
        "exports_glued",
        "feed",
        "The export of the month before is pasted below the month's own, header included.",
        footnoted("orders", glued("orders", reverse=False), "header_once"),
        stopped("tickets, with other columns", glued("tickets", reverse=True), "ticket_readable"),
    )
    yield Fault(
        "file_twice",
        "feed",
        "A file is delivered twice under two names.",
        footnoted(
            "saved again, with other line ends",
            copied("orders", f"{MONTH}-2", source=MONTH, end="\n"),
            "brings_new_records",
        ),
        stopped("the same bytes", copied("survey", f"{MONTH}-2", source=MONTH), INGEST + "same file twice"),
    )
    yield Fault(
        "old_file_renamed",
        "feed",
        "The file of the month before comes again under the name of the reported month.",
        stopped("saved again, with other line ends", copied("reviews", MONTH, end="\n"), "month_has_rows"),
        stopped("the same bytes", copied("tickets", MONTH), INGEST + "same file twice"),
    )
    yield Fault(
        "foreign_file",
        "feed",
        "A file of another kind lies under the feed's name.",
        stopped("a page that asks to sign in", content("reviews", lambda _: _LOGIN), INGEST),
        stopped("invitations among the orders", _foreign, INGEST + "no column"),
    )
    yield Fault(
        "survey_version",
        "feed",
        "The questionnaire is another one.",
        footnoted("a question more", added("survey", ["QID9"], lambda at: str(1 + at % 5)), "survey_version"),
        stopped("a question was replaced", renamed("survey", {"QID8": "QID18"}), INGEST + "no column `QID8`"),
    )
    yield Fault(
        "question_unanswered",
        "feed",
        "A question is asked as before and has far fewer answers.",
        footnoted("half of one on the experience", _without_answers("QID8", 0.5), "answers_usual"),
        stopped("all of the NPS question", _without_answers("QID1", 1.0), "answers_not_missing"),
    )
    yield Fault(
        "volume_down",
        "feed",
        "A feed holds far fewer rows than usual, on all days.",
        footnoted("40% of the orders", kept("orders", 0.4), "volume_usual"),
        stopped("12% of the orders", kept("orders", 0.12), "volume_not_collapsed"),
    )
    yield Fault(
        "volume_up",
        "feed",
        "A feed holds far more rows than usual, such as those of a test.",
        footnoted("2.5 times the orders", more("orders", 1.5, _renumbered("order_id")), "volume_usual"),
        stopped("12 times the orders", more("orders", 11, _renumbered("order_id")), "volume_not_multiplied"),
    )
    yield Fault(
        "channel_volume",
        "feed",
        "One channel's rows are missing, the other channels' are complete.",
        footnoted("half of the web forms", kept("tickets", 0.5, where("Via", "Web form")), "level_volume_usual"),
        stopped("all web forms", kept("tickets", 0.0, where("Via", "Web form")), "level_not_missing"),
    )
    yield Fault(
        "response_rate",
        "feed",
        "Answers are missing of invitations that were sent as usual.",
        footnoted("a third of the answers", kept("survey", 0.67), "response_rate_usual"),
        stopped("seven in eight answers", kept("survey", 0.125), "volume_not_collapsed"),
    )
    yield Fault(
        "list_short",
        "feed",
        "The list of customers is not complete.",
        footnoted("88% of them", kept("customers", 0.88), "customers_known"),
        stopped("30% of them", kept("customers", 0.3), "customers_not_missing"),
    )
    yield Fault(
        "quotes_broken",
        "feed",
        "Quotes in cells were not doubled by whatever wrote the file.",
        stopped("in one row of 300", content("orders", _unescaped(300)), INGEST),
        stopped("in every tenth row", content("invitations", _unescaped(10)), INGEST),
    )
    yield Fault(
        "file_form",
        "feed",
        "A file has another form which changes none of its cells.",
        accepted("line ends of Unix", content("reviews", lambda text: text.replace("\r\n", "\n"))),
        accepted("a byte order mark, all cells in quotes", together(written("orders", quoting=csv.QUOTE_ALL), _marked)),
    )
    yield Fault(
        "status_words",
        "feed",
        "The survey was exported with words in place of codes.",
        accepted("for status and finished", together(_STATUS_WORDS, _FINISHED_WORDS)),
        stopped("for the scores as well", together(_STATUS_WORDS, _FINISHED_WORDS, _SCORE_WORDS), "answer_readable"),
    )


_STATUS_WORDS = cells("survey", "Status", {"0": "IP Address", "1": "Survey Preview"}.__getitem__)
_FINISHED_WORDS = cells("survey", "Finished", {"0": "False", "1": "True"}.__getitem__)
_WORDS = ("Very dissatisfied", "Dissatisfied", "Neutral", "Satisfied", "Very satisfied")
_SCORE_WORDS = cells("survey", "QID2", lambda score: _WORDS[int(score) - 1])


def _foreign(raw) -> None:
    raw.path("orders").unlink()
    raw.path("orders").write_bytes(raw.path("invitations").read_bytes())


_marked = content("orders", lambda text: "\ufeff" + text)


# --- meaning ---------------------------------------------------------------------------------------


def _is_app(record: Record) -> bool:
    return record["channel"] == "app"


def _straight(share: float) -> Spoil:
    def straighten(record: Record) -> None:
        for question in ("QID6", "QID7", "QID8"):
            record[question] = "4"

    return each("survey", straighten, share, where("block", "experience"))


def _one_to_five(score: str) -> str:
    return str(1 + int(score) * 4 // 10)


def _one_too_high(*channels: str) -> Spoil:
    return cells("survey", "QID1", plus(1, 10), only=where("channel", *channels))


def _in_seconds(*groups: str) -> Spoil:
    columns = ("First reply time in minutes", "Full resolution time in minutes")
    is_theirs = where("Group", *groups) if groups else None
    return together(*(cells("tickets", column, times(60, "{:.0f}"), only=is_theirs) for column in columns))


def _of_meaning() -> Iterable[Fault]:
    yield Fault(
        "nps_flipped",
        "meaning",
        "The scale of the NPS question is turned round: 0 is the best.",
        footnoted("in the app", cells("survey", "QID1", flipped(0, 10), only=_is_app), "answer_share_usual"),
        stopped("everywhere", cells("survey", "QID1", flipped(0, 10)), "scale_not_flipped"),
    )
    yield Fault(
        "csat_flipped",
        "meaning",
        "The scale of satisfaction is turned round: 1 is the best.",
        footnoted("in the app", cells("survey", "QID2", flipped(1, 5), only=_is_app), "answer_share_usual"),
        stopped("everywhere", cells("survey", "QID2", flipped(1, 5)), "scale_not_flipped"),
    )
    yield Fault(
        "ease_flipped",
        "meaning",
        "The new effort question is coded like the old one: 1 is the best.",
        footnoted("in the app", cells("survey", "QID4", flipped(1, 7), only=_is_app), "answer_share_usual"),
        stopped("everywhere", cells("survey", "QID4", flipped(1, 7)), "scale_not_flipped"),
    )
    yield Fault(
        "nps_one_to_five",
        "meaning",
        "Answers from 1 to 5 stand in the column of the 0-10 question.",
        footnoted("in the app", cells("survey", "QID1", _one_to_five, only=_is_app), "answer_share_usual"),
        stopped("everywhere", cells("survey", "QID1", _one_to_five), "scale_fully_used"),
    )
    yield Fault(
        "pulse_one_to_five",
        "meaning",
        "Employees' answers from 1 to 5 stand in a 0-10 column.",
        footnoted("half of them", cells("pulse", "recommend_as_employer", _one_to_five, 0.5), "answer_share_usual"),
        stopped("all of them", cells("pulse", "recommend_as_employer", _one_to_five), "scale_fully_used"),
    )
    yield Fault(
        "nps_one_to_eleven",
        "meaning",
        "The 0-10 answers are stored as 1-11.",
        rejected(
            "in the chat", cells("survey", "QID1", plus(1), only=where("channel", "chat")), "score_not_above_scale"
        ),
        stopped("everywhere", cells("survey", "QID1", plus(1)), "score_not_above_scale"),
    )
    yield Fault(
        "nps_shifted",
        "meaning",
        "The 0-10 answers are stored one too high, and 11 as 10.",
        footnoted("in the app and on the web", _one_too_high("app", "web"), "scale_in_place"),
        stopped("everywhere", cells("survey", "QID1", plus(1, 10)), "scale_not_shifted"),
    )
    yield Fault(
        "end_points_in_words",
        "meaning",
        "The ends of a scale come as words beside the numbers between them.",
        rejected("0", cells("survey", "QID1", "0 - Not at all likely", only=where("QID1", "0")), "answer_readable"),
        stopped(
            "0 and 10",
            together(
                cells("survey", "QID1", "0 - Not at all likely", only=where("QID1", "0")),
                cells("survey", "QID1", "10 - Extremely likely", only=where("QID1", "10")),
            ),
            "answer_readable",
        ),
    )
    yield Fault(
        "straight_lining",
        "meaning",
        "People give the same answer to all questions on the experience.",
        footnoted("a quarter of them", _straight(0.25), "straight_lining_usual"),
        stopped("nearly all of them", _straight(0.9), "straight_lining_rare"),
    )
    yield Fault(
        "option_jumped",
        "meaning",
        "One option takes answers from all others, as one does that is chosen beforehand.",
        footnoted("15% more", cells("survey", "QID2", "3", 0.15), "answer_share_usual"),
        stopped("60% more", cells("survey", "QID2", "3", 0.6), "answer_share_not_jumped"),
    )
    yield Fault(
        "constant",
        "meaning",
        "All answers to a question are the same.",
        stopped("of the employees", cells("pulse", "recommend_as_employer", "10"), "answers_vary"),
        stopped("on satisfaction", cells("survey", "QID2", "5"), "answers_vary"),
    )
    yield Fault(
        "missing_code_11",
        "meaning",
        "No answer is stored as 11.",
        rejected("2% of the NPS answers", cells("survey", "QID1", "11", 0.02), "score_not_above_scale"),
        stopped("25% of the NPS answers", cells("survey", "QID1", "11", 0.25), "scores_on_scale"),
    )
    yield Fault(
        "missing_code_99",
        "meaning",
        "No answer is stored as 99.",
        rejected("2% of one question", cells("survey", "QID6", "99", 0.02), "score_not_above_scale"),
        stopped("25% of satisfaction", cells("survey", "QID2", "99", 0.25), "score_not_above_scale"),
    )
    yield Fault(
        "missing_code_below",
        "meaning",
        "No answer is stored as -99.",
        rejected("2% of the effort", cells("survey", "QID4", "-99", 0.02), "score_not_below_scale"),
        stopped("30% of the employees", cells("pulse", "recommend_as_employer", "-99", 0.3), "score_not_below_scale"),
    )
    yield Fault(
        "missing_words",
        "meaning",
        "No answer is stored as a word.",
        rejected("`N/A`, 2% of satisfaction", cells("survey", "QID2", "N/A", 0.02), "answer_readable"),
        stopped("`N/A`, 25% of satisfaction", cells("survey", "QID2", "N/A", 0.25), "answer_readable"),
    )
    yield Fault(
        "missing_as_zero",
        "meaning",
        "No answer is stored as 0, which is a score of the scale.",
        footnoted("8% of the NPS answers", cells("survey", "QID1", "0", 0.08), "answer_share_usual"),
        stopped("50% of the NPS answers", cells("survey", "QID1", "0", 0.5), "answer_share_not_jumped"),
    )
    yield Fault(
        "scores_averaged",
        "meaning",
        "Scores are averages of several answers.",
        rejected("2% of satisfaction", cells("survey", "QID2", "3.5", 0.02), "score_whole"),
        stopped("50% of satisfaction", cells("survey", "QID2", "3.5", 0.5), "score_whole"),
    )
    yield Fault(
        "scores_in_percent",
        "meaning",
        "Scores from 1 to 5 are stored as 20 to 100.",
        rejected("2% of satisfaction", cells("survey", "QID2", times(20, "{:.0f}"), 0.02), "score_not_above_scale"),
        stopped("all of it", cells("survey", "QID2", times(20, "{:.0f}")), "score_not_above_scale"),
    )
    yield Fault(
        "clock_ahead",
        "meaning",
        "Times come in another zone, ahead of the company's: answers move into the next month.",
        footnoted("5 hours", cells("survey", "RecordedDate", later(5)), "hours_usual"),
        footnoted("12 hours", cells("survey", "RecordedDate", later(12)), "hours_usual"),
    )
    yield Fault(
        "clock_behind",
        "meaning",
        "Times come in another zone, behind the company's: answers come before their invitations.",
        rejected("1 hour", cells("survey", "RecordedDate", later(-1)), "answered_after_invited"),
        rejected("8 hours", cells("survey", "RecordedDate", later(-8)), "answered_after_invited"),
    )
    yield Fault(
        "day_month_swapped",
        "meaning",
        "Day and month changed places where both are possible.",
        footnoted(
            "on three days",
            cells("orders", "ordered_at", day_for_month, only=day_of("ordered_at", 3, 5)),
            "file_is_one_export",
        ),
        stopped(
            "on all days up to the 12th",
            cells("orders", "ordered_at", day_for_month, only=day_of("ordered_at", 1, 12)),
            "order_date_not_in_future",
        ),
    )
    yield Fault(
        "ids_in_powers",
        "meaning",
        "A spreadsheet turned ids into numbers with exponents.",
        footnoted("2% of the survey's customers", cells("survey", "ExternalReference", "1.78E+17", 0.02), "ids_intact"),
        stopped("all of them", cells("survey", "ExternalReference", "1.78E+17"), "customers_not_missing"),
    )
    yield Fault(
        "ids_with_decimals",
        "meaning",
        "Ids became decimal numbers, which is mended where nothing of them is lost.",
        accepted("2% of the tickets", cells("tickets", "Id", "{}.0".format, 0.02)),
        accepted("all tickets", cells("tickets", "Id", "{}.0".format)),
    )
    yield Fault(
        "serial_dates",
        "meaning",
        "A spreadsheet turned dates into its serial numbers.",
        rejected("1.5% of the orders", cells("orders", "ordered_at", serial, 0.015), "order_readable"),
        stopped("all orders", cells("orders", "ordered_at", serial), "order_readable"),
    )
    yield Fault(
        "currency_changed",
        "meaning",
        "Orders come in another currency.",
        footnoted("10% of them", cells("orders", "currency", "EUR", 0.1), "codes_known"),
        stopped("all of them", cells("orders", "currency", "EUR"), "codes_not_renamed"),
    )
    yield Fault(
        "amounts_scaled",
        "meaning",
        "Amounts come in another unit.",
        footnoted("with tax, a quarter more", cells("orders", "amount", times(1.25)), "size_usual"),
        stopped("in cents", cells("orders", "amount", times(100, "{:.0f}")), "size_not_jumped"),
    )
    yield Fault(
        "decimal_comma",
        "meaning",
        "Amounts have a comma for the decimal point.",
        rejected("1.5% of the orders", cells("orders", "amount", _comma, 0.015), "order_readable"),
        stopped("all orders", cells("orders", "amount", _comma), "order_readable"),
    )
    yield Fault(
        "decimal_point_lost",
        "meaning",
        "Amounts lost their decimal point.",
        footnoted("5% of the orders", cells("orders", "amount", _pointless, 0.05), "values_met_before"),
        stopped("all orders", cells("orders", "amount", _pointless), "size_not_jumped"),
    )
    yield Fault(
        "durations_in_seconds",
        "meaning",
        "Durations that are called minutes hold seconds.",
        footnoted("of one team", _in_seconds("Billing"), "values_in_usual_range"),
        stopped("of all teams", _in_seconds(), "size_not_jumped"),
    )
    yield Fault(
        "durations_in_hours",
        "meaning",
        "Durations that are called minutes hold hours.",
        footnoted("of one team", _in_hours("Billing"), "values_in_usual_range"),
        stopped("of all teams", _in_hours(), "size_not_jumped"),
    )
    yield Fault(
        "cost_rescaled",
        "meaning",
        "What cases cost is stated in another unit.",
        footnoted("a third more", cells("tickets", "Handling cost [num]", times(1.33)), "size_usual"),
        stopped("in cents", cells("tickets", "Handling cost [num]", times(100)), "size_not_jumped"),
    )


def _in_hours(*groups: str) -> Spoil:
    is_theirs = where("Group", *groups) if groups else None
    return cells("tickets", "Full resolution time in minutes", times(1 / 60), only=is_theirs)


def _comma(amount: str) -> str:
    return amount.replace(".", ",")


def _pointless(amount: str) -> str:
    return amount.replace(".", "")


# --- rows ------------------------------------------------------------------------------------------


def _as_another(column: str):
    def change(record: Record, number: int) -> None:
        record[column] = str(round(float(record[column]) + number % 7 + 1, 2))

    return change


def _of_rows() -> Iterable[Fault]:
    yield of_rows("key_missing", "Orders have no id.", Spoiling("orders", "order_id", ""), "order_id_present")
    yield of_rows(
        "survey_key_missing",
        "Responses have no id.",
        Spoiling("survey", "ResponseId", ""),
        "response_id_present",
    )
    yield Fault(
        "key_repeated",
        "rows",
        "Several orders have one id and differ.",
        rejected("1% of the orders", more("orders", 1, _as_another("amount"), 0.01), "order_id_unique"),
        stopped("40% of the orders", more("orders", 1, _as_another("amount"), 0.4), "order_id_unique"),
    )
    yield Fault(
        "rows_repeated",
        "rows",
        "Rows stand in a file twice, the same in every cell.",
        accepted("1% of the orders", more("orders", 1, None, 0.01), "delivered_again"),
        accepted("all orders", more("orders", 1), "delivered_again"),
    )
    yield of_rows("date_missing", "Orders have no date.", Spoiling("orders", "ordered_at", ""), "order_date_present")
    yield of_rows(
        "date_in_future",
        "Tickets were created after the day of the export.",
        Spoiling("tickets", "Created at", lambda at: "2027" + at[4:]),
        "ticket_date_not_in_future",
    )
    yield of_rows(
        "date_of_1970",
        "Events carry the date with which computers begin to count.",
        Spoiling("events", "occurred_at", "1970-01-01 00:00:00"),
        "event_date_plausible",
    )
    yield of_rows(
        "date_impossible",
        "Answers were given on days that no month has.",
        Spoiling("survey", "RecordedDate", "2026-08-32 10:00:00"),
        "response_readable",
    )
    yield of_rows(
        "answer_before_invitation",
        "Answers were given before their invitation.",
        Spoiling("survey", "invited_at", "2026-09-15 10:00:00"),
        "answered_after_invited",
        many=0.7,
        stopper="rows_not_mostly_rejected",
    )
    yield of_rows(
        "solved_before_created",
        "Tickets were solved before they were created.",
        Spoiling("tickets", "Solved at", "2026-07-01 10:00"),
        "resolution_not_before_creation",
        many=0.8,
        stopper="rows_not_mostly_rejected",
    )
    yield Fault(
        "end_before_start",
        "rows",
        "Subscriptions ended before they began.",
        rejected("1.0% of the rows", each("subscriptions", _ended, 0.01), "subscription_end_not_before_start"),
        stopped("70% of the rows", each("subscriptions", _ended, 0.7), "rows_not_mostly_rejected"),
    )
    yield of_rows(
        "amount_negative",
        "Sales have negative amounts.",
        Spoiling("orders", "amount", "-{}".format, lambda record: record["kind"] != "refund"),
        "sale_amount_not_negative",
        many=0.7,
        stopper="rows_not_mostly_rejected",
    )
    yield of_rows(
        "duration_negative",
        "Tickets were answered in less than no time.",
        Spoiling("tickets", "First reply time in minutes", "-5"),
        "reply_minutes_not_negative",
        many=0.7,
        stopper="rows_not_mostly_rejected",
    )
    yield of_rows(
        "rating_off_scale", "Reviews have six stars.", Spoiling("reviews", "stars", "6"), "rating_on_scale", few=0.02
    )
    yield of_rows(
        "kind_unknown", "Orders are of an unknown kind.", Spoiling("orders", "kind", "swap"), "kind_known", few=0.02
    )
    yield of_rows(
        "channel_unknown",
        "Tickets come by an unknown channel.",
        Spoiling("tickets", "Via", "Fax"),
        "ticket_readable",
        few=0.02,
    )
    yield of_rows(
        "language_unknown",
        "Answers come in an unknown language.",
        Spoiling("survey", "UserLanguage", "PT"),
        "response_readable",
        few=0.02,
    )
    yield of_rows(
        "region_unknown",
        "Customers live in an unknown region.",
        Spoiling("customers", "Region__c", "centre"),
        "region_known",
        many=0.7,
        stopper="rows_not_mostly_rejected",
    )
    yield of_rows(
        "team_unknown",
        "Employees work in an unknown team.",
        Spoiling("pulse", "team", "Drones"),
        "team_known",
        few=0.03,
        many=0.7,
        stopper="rows_not_mostly_rejected",
    )
    yield of_rows(
        "currency_uncoded",
        "Currencies are signs and no codes.",
        Spoiling("orders", "currency", "$"),
        "currency_coded",
        many=0.7,
        stopper="rows_not_mostly_rejected",
    )
    yield of_rows(
        "score_off_scale",
        "Employees' answers lie beyond the scale.",
        Spoiling("pulse", "recommend_as_employer", "12"),
        "score_not_above_scale",
        few=0.02,
    )
    yield of_rows(
        "not_finished",
        "Responses are marked as unfinished.",
        Spoiling("survey", "Finished", "0"),
        "response_real",
        few=0.02,
        many=0.8,
        stopper="rows_not_mostly_rejected",
    )
    yield Fault(
        "customer_unknown",
        "rows",
        "Tickets are of customers whom the list does not have.",
        footnoted("8% of the tickets", cells("tickets", "Customer ID [txt]", "{}X".format, 0.08), "customers_known"),
        stopped(
            "60% of the tickets", cells("tickets", "Customer ID [txt]", "{}X".format, 0.6), "customers_not_missing"
        ),
    )
    yield Fault(
        "response_unknown",
        "rows",
        "Invitations name responses that the survey does not have.",
        footnoted("10% of the answered ones", cells("invitations", "response_id", "{}X".format, 0.1), "answers_known"),
        stopped("all of them", cells("invitations", "response_id", "{}X".format), "response_rate_not_collapsed"),
    )
    yield Fault(
        "cells_shifted",
        "rows",
        "Rows have a cell too many, because a comma was not quoted.",
        rejected("1% of the orders", _longer(0.01), "order_readable"),
        stopped("30% of the orders", _longer(0.3), "order_readable"),
    )
    yield Fault(
        "totals_among_rows",
        "rows",
        "Totals stand among the orders.",
        rejected("one at the end", table("orders", _with_totals(1)), "order_readable"),
        stopped("one after every ten orders", table("orders", _with_totals(10)), "order_readable"),
    )


def _ended(record: Record) -> None:
    record["valid_to"] = "2001-01-01"


def _longer(share: float) -> Spoil:
    return each("orders", lambda record: record.cells.append("spare"), share)


def _with_totals(every: int):
    def add(export) -> None:
        if every == 1:
            export.rows.append(_total(0))
        else:
            parts = ([row, _total(at)] if at % every == 0 else [row] for at, row in enumerate(export.rows))
            export.rows = [row for part in parts for row in part]

    return add


def _total(at: int) -> list[str]:
    return ["Total", "", "Sum", f"{1234.5 + at:.2f}", "USD", ""]


FAULTS: tuple[Fault, ...] = (*_of_feeds(), *_of_meaning(), *_of_rows())

# Always tried, because most of them stop while files are read, in no time; the others are for the long campaigns.
SLICE = frozenset(
    {
        "feed_absent-gross",
        "file_twice-gross",
        "wrong_delimiter-gross",
        "header_renamed-subtle",
        "foreign_file-gross",
        "missing_code_11-subtle",
        "nps_flipped-gross",
    }
)

# What leaves figures that could be true; nothing is noted, and nothing must be: what finds it would find good months.
LIMITS: dict[str, tuple[str, Spoil]] = {
    "nps_shifted_in_a_channel": (
        "The 0-10 answers of one channel are stored one too high, as if its customers were happier",
        _one_too_high("app"),
    ),
    "orders_thinned": ("A tenth of the orders is missing, on all days, as in a slow month", kept("orders", 0.9)),
    "amounts_slightly_scaled": (
        "All amounts are 5% higher, as with higher prices",
        cells("orders", "amount", times(1.05)),
    ),
    "answers_lost": (
        "A question has lost a twentieth of its answers, as if more people had left it out",
        _without_answers("QID2", 0.05),
    ),
}


def levels() -> Iterable[tuple[str, Level]]:
    """Yield both levels of every fault under their names."""
    for fault in FAULTS:
        yield f"{fault.id}-subtle", fault.subtle
        yield f"{fault.id}-gross", fault.gross
