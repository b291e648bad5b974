"""Turn tool exports into canonical tables: `ingest` reads every feed of a dataset, or refuses with all reasons."""

from cxreport.sources.registry import recognise
from cxreport.sources.staged import covered_months, last_complete_month
from cxreport.sources.staging import ingest, question_titles

__all__ = ["covered_months", "ingest", "last_complete_month", "question_titles", "recognise"]
