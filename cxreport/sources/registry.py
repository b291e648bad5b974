"""The adapters by name: those of this package, and those that other packages register as entry points."""

from importlib import import_module
from importlib.metadata import entry_points

from cxreport.errors import DefinitionError, listed, nearest
from cxreport.sources.adapter import Adapter
from cxreport.sources.files import DeliveredFile
from cxreport.sources.glimpse import Glimpse, Recognised

ENTRY_POINTS = "cxreport.adapters"

# Each a module of `cxreport.sources.tools` with its ADAPTER.
BUILT_IN = (
    "mapped",
    "qualtrics",
    "salesforce",
    "zendesk",
)


def adapter_names() -> list[str]:
    """Return the names of all adapters, sorted; none is imported for that."""
    return sorted({*BUILT_IN, *entry_points(group=ENTRY_POINTS).names})


def find_adapter(name: str) -> Adapter:
    """Return an adapter, a built-in one first; raises `DefinitionError` for an unknown name."""
    if name in BUILT_IN:
        built_in: Adapter = import_module(f"cxreport.sources.tools.{name}").ADAPTER
        return built_in
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        adapter: Adapter = entry.load()
        return adapter
    known = adapter_names()
    raise DefinitionError(
        found=f"adapter `{name}`{nearest(name, known)}",
        expected=f"one of {listed(known)}",
        do="name one of these in the feed's `adapter`, or install the package that brings it",
    )


def recognise(file: DeliveredFile) -> dict[str, Recognised]:
    """Return what each adapter that recognises a file takes it for, by the adapter's name, sorted.

    Those that are certain silence those that are not.
    """
    glimpse = Glimpse(file)
    found = {name: taken for name in adapter_names() if (taken := find_adapter(name).sniff(glimpse))}
    certain = {name: taken for name, taken in found.items() if taken.certain}
    return certain or found
