"""Validation: staged rows in, accepted rows, rejected keys and a verdict for every month out."""

from cxreport.validate.combine import read_verdict
from cxreport.validate.run import validate
from cxreport.validate.verdict import (
    GateOutcome,
    MissingCount,
    RuleOutcome,
    TableCount,
    Verdict,
    require_publishable,
)

__all__ = [
    "GateOutcome",
    "MissingCount",
    "RuleOutcome",
    "TableCount",
    "Verdict",
    "read_verdict",
    "require_publishable",
    "validate",
]
