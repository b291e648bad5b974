"""KPIs with intervals, comparisons, benchmarks and protection of small groups."""

from cxreport.measure import show
from cxreport.measure.estimates import estimate, measure, read_estimates
from cxreport.measure.frames import latest_period

__all__ = ["estimate", "latest_period", "measure", "read_estimates", "show"]
