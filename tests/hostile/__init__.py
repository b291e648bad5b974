"""Texts that try to be more than text, and a company whose deliveries and definitions are full of them."""

from hostile.payloads import BY_KIND, COMMENTED, PAYLOADS, letters, shown
from hostile.planting import LEVELS, plant

__all__ = ["BY_KIND", "COMMENTED", "LEVELS", "PAYLOADS", "letters", "plant", "shown"]
