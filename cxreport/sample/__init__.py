"""The seeded sample company: two years of invented exports of an internet provider, with planted truths.

Everything here is invented: Halden Broadband does not exist. The files have the layout of real exports, so they take
the same way as a company's own. What the reports must find is written down in `PLANTED`. With `planted=False`, tests
get a placebo in which there is nothing to find.
"""

from cxreport.sample.planted import PLANTED, Planted
from cxreport.sample.write import write_sample

__all__ = ["PLANTED", "Planted", "write_sample"]
