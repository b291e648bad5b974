"""Warm kernels: Jupyter kernels forked from a process that has already imported what notebooks need.

It uses nothing else of this project, so that any Papermill or nbclient user can have it; see docs/warm-kernels.md.
"""
