"""whoismesh: a snapshot of who holds every IP address.

    open_dump(path)   read a snapshot record by record
    Network           one registration: a range and who holds it
    Unheld            a range that no network holds, and why
    Range             first and last address of one family
    PrefixTable       which known block holds an address
    WhoismeshError    the base of all errors raised on purpose

The command line is `whoismesh`, the daemons are `whoismesh-coord` and `whoismesh-worker`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whoismesh.addresses import Range
    from whoismesh.dump import Dump, Unheld, open_dump
    from whoismesh.errors import DumpError, WhoismeshError
    from whoismesh.networks import Holder, Network
    from whoismesh.prefixes import PrefixTable

__version__ = "0.1.0"

__all__ = [
    "Dump",
    "DumpError",
    "Holder",
    "Network",
    "PrefixTable",
    "Range",
    "Unheld",
    "WhoismeshError",
    "open_dump",
]

_HOMES = {
    "Dump": "dump",
    "DumpError": "errors",
    "Holder": "networks",
    "Network": "networks",
    "PrefixTable": "prefixes",
    "Range": "addresses",
    "Unheld": "dump",
    "WhoismeshError": "errors",
    "open_dump": "dump",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import whoismesh` stays quick."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'whoismesh' has no attribute {name!r}")
    value = getattr(import_module(f"whoismesh.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
