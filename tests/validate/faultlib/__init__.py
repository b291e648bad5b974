"""A library of faults, and a company to which they are done."""

from faultlib.company import Company, Trial, copied
from faultlib.export import Export
from faultlib.library import FAULTS, LIMITS, SLICE, Fault, Level, levels
from faultlib.outcomes import wrong
from faultlib.table import page
from faultlib.tracing import unaccounted, untraced

__all__ = [
    "FAULTS",
    "LIMITS",
    "SLICE",
    "Company",
    "Export",
    "Fault",
    "Level",
    "Trial",
    "copied",
    "levels",
    "page",
    "unaccounted",
    "untraced",
    "wrong",
]
