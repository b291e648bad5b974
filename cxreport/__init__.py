"""Reproducible customer-experience reports: ingest, validate, measure, publish."""

__version__ = "0.1.0"
