"""The adapters by name: those of this package, and those that other packages register as entry points."""

from importlib.metadata import entry_points
from pathlib import Path

from cxreport.errors import DefinitionError, listed, nearest
from cxreport.sources import mapped, qualtrics, salesforce, zendesk
from cxreport.sources.adapter import Adapter

ENTRY_POINTS = "cxreport.adapters"

BUILT_IN: dict[str, Adapter] = {
    "qualtrics": qualtrics.ADAPTER,
    "zendesk": zendesk.ADAPTER,
    "salesforce": salesforce.ADAPTER,
    "mapped": mapped.ADAPTER,
}


def adapter_names() -> list[str]:
    """Return the names of all adapters, sorted; none is imported for that."""
    return sorted({*BUILT_IN, *entry_points(group=ENTRY_POINTS).names})


def find_adapter(name: str) -> Adapter:
    """Return an adapter, a built-in one first; raises `DefinitionError` for an unknown name."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        adapter: Adapter = entry.load()
        return adapter
    known = adapter_names()
    raise DefinitionError(
        found=f"adapter `{name}`{nearest(name, known)}",
        expected=f"one of {listed(known)}",
        do="name one of these in the feed's `adapter`, or install the package that brings it",
    )


def sniff(path: Path) -> str | None:
    """Return the name of the first adapter, in alphabetical order, that recognises a file, or `None`."""
    return next((name for name in adapter_names() if find_adapter(name).sniff(path)), None)
