"""whoismesh: a snapshot of who holds every IP address.

    join(endpoint)    join a running mesh as a listener; `join_blocking` without async
    open_dump(path)   read a snapshot record by record
    Network           one registration: a range and who holds it
    Unheld            a range that no network holds, and why
    Range             first and last address of one family
    PrefixTable       which known block holds an address
    AddressArrays     the same for a million addresses at once (needs numpy: the extra `arrays`)
    KnownBlock        a block that a mesh discovered
    Joined, Left, Discovered    what happens in a mesh, to a Member or a KnownBlock
    WhoismeshError    the base of all errors raised on purpose

The command line is `whoismesh`, the daemons are `whoismesh-coord` and `whoismesh-worker`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whoismesh.addresses import Range
    from whoismesh.arrays import AddressArrays
    from whoismesh.blocking import BlockingMesh, join_blocking
    from whoismesh.dump import Dump, open_dump
    from whoismesh.errors import (
        AddressError,
        CrawlReplacedError,
        DumpError,
        UnavailableError,
        UsageError,
        WhoismeshError,
    )
    from whoismesh.history import Discovered, Joined, KnownBlock, Left, Member
    from whoismesh.mesh import Mesh, join
    from whoismesh.networks import Holder, Network, Unheld
    from whoismesh.prefixes import PrefixTable

__version__ = "0.1.0"

__all__ = [
    "AddressArrays",
    "AddressError",
    "BlockingMesh",
    "CrawlReplacedError",
    "Discovered",
    "Dump",
    "DumpError",
    "Holder",
    "Joined",
    "KnownBlock",
    "Left",
    "Member",
    "Mesh",
    "Network",
    "PrefixTable",
    "Range",
    "UnavailableError",
    "Unheld",
    "UsageError",
    "WhoismeshError",
    "join",
    "join_blocking",
    "open_dump",
]

_HOMES = {
    "AddressArrays": "arrays",
    "AddressError": "errors",
    "BlockingMesh": "blocking",
    "CrawlReplacedError": "errors",
    "Discovered": "history",
    "Dump": "dump",
    "DumpError": "errors",
    "Holder": "networks",
    "Joined": "history",
    "KnownBlock": "history",
    "Left": "history",
    "Member": "history",
    "Mesh": "mesh",
    "Network": "networks",
    "PrefixTable": "prefixes",
    "Range": "addresses",
    "UnavailableError": "errors",
    "Unheld": "networks",
    "UsageError": "errors",
    "WhoismeshError": "errors",
    "join": "mesh",
    "join_blocking": "blocking",
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
