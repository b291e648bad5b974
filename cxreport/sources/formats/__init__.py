"""Delivered files as text: one module for each kind of file, and `records`, what all of them give."""
