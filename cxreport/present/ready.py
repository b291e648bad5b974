"""Whoever imports this is ready to make pages: what the first page of a process spends anew, it spends here.

That is what the modules of pages import, and what they read only once they need it: the adapters of feeds, Parquet, the
package's sentences, the signs of its language's numbers, and the typeface of charts.
"""

import pyarrow.parquet  # noqa: F401 - here and below: imported ahead
from pyarrow import dataset  # noqa: F401

from cxreport.present import (  # noqa: F401
    actions,
    cards,
    charts,
    drivers,
    journey,
    loyalty,
    markup,
    method,
    next_steps,
    pack,
    tables,
    theme,
    voice,
    wording,
    words,
)
from cxreport.sources import registry

for _name in registry.BUILT_IN:
    registry.find_adapter(_name)
words.Words(words.ENGLISH, words.shipped(words.ENGLISH)).number(1000)
theme.add_typeface()
