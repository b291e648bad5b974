"""Turn tool exports into canonical tables: `ingest` reads every feed of a dataset, or refuses with all reasons."""

from cxreport.sources.registry import recognise
from cxreport.sources.staged import covered_periods, delivered_files, last_complete_period
from cxreport.sources.staging import ingest, question_titles

__all__ = ["covered_periods", "delivered_files", "ingest", "last_complete_period", "question_titles", "recognise"]
