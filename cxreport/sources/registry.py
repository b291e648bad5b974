"""The adapters by name: those of this package, and those that other packages register as entry points."""

from importlib import import_module
from importlib.metadata import entry_points

from cxreport.errors import DefinitionError, listed, nearest
from cxreport.sources.adapter import Adapter
from cxreport.sources.formats.files import DeliveredFile
from cxreport.sources.formats.glimpse import Glimpse, Recognised

ENTRY_POINTS = "cxreport.adapters"

# Each a module of `cxreport.sources.tools` with its ADAPTER.
BUILT_IN = (
    "adobe_analytics",
    "brandwatch",
    "drift",
    "google_analytics",
    "google_forms",
    "google_play",
    "hootsuite",
    "hubspot",
    "intercom",
    "mapped",
    "mixpanel",
    "qualtrics",
    "salesforce",
    "sprout_social",
    "surveymonkey",
    "trustpilot",
    "typeform",
    "zendesk",
    "zoho_crm",
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
    return try_all(file)[0]


def try_all(file: DeliveredFile) -> tuple[dict[str, Recognised], dict[str, str]]:
    """Return what `recognise` returns, and which adapters failed, with the kind of error: theirs is not the file's."""
    glimpse = Glimpse(file)
    found: dict[str, Recognised] = {}
    failed: dict[str, str] = {}
    for name in adapter_names():
        try:
            taken = find_adapter(name).sniff(glimpse)
        except Exception as error:  # noqa: BLE001 - whatever another package's adapter raises
            failed[name] = type(error).__name__
        else:
            if isinstance(taken, Recognised):
                found[name] = taken
    certain = {name: taken for name, taken in found.items() if taken.certain}
    return certain or found, failed
