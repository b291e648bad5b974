"""Two hundred pieces of personal data, planted where exports hold such, and a search for them in any file."""

from personal_data.items import ITEMS, Person, people
from personal_data.planting import plant
from personal_data.search import encodings, found_in, held_in, lacked_by

__all__ = ["ITEMS", "Person", "encodings", "found_in", "held_in", "lacked_by", "people", "plant"]
