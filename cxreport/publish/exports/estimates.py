"""The estimates as text: every column of `schema.ESTIMATES`, full precision, safe to open in a spreadsheet."""

import pandas as pd

from cxreport.present.analyses import SHOWN
from cxreport.present.markup import one_line

# What a spreadsheet takes for the beginning of a formula; others, such as tabs, do not stay in a line of text.
_FORMULA = ("=", "+", "-", "@")


def as_csv(estimates: pd.DataFrame) -> bytes:
    """Return estimates as CSV in UTF-8 with a header; what is missing or hidden is empty, and `suppressed` says why.

    Texts stand on one line, and those that a spreadsheet would compute have an apostrophe before them.
    """
    is_hidden = estimates["suppressed"].ne(SHOWN)
    is_number = {name: pd.api.types.is_numeric_dtype(column) for name, column in estimates.items()}
    safe = {
        name: column.mask(is_hidden) if is_number[name] else column.map(_text) for name, column in estimates.items()
    }
    return pd.DataFrame(safe).to_csv(index=False, lineterminator="\n").encode()


def _text(content: object) -> object:
    if not isinstance(content, str):
        return content
    text = one_line(content)
    return f"'{text}" if text.startswith(_FORMULA) else text
