"""KPIs with intervals, comparisons, benchmarks and protection of small groups."""

from cxreport.measure import show
from cxreport.measure.analyses import read_analyses
from cxreport.measure.estimates import measure, read_estimates
from cxreport.measure.frames import latest_period
from cxreport.measure.kpis import estimate

__all__ = ["estimate", "latest_period", "measure", "read_analyses", "read_estimates", "show"]
