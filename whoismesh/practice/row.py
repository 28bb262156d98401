"""One row of an allocation table."""

from __future__ import annotations

from typing import NamedTuple

from whoismesh.addresses import Range
from whoismesh.delegated import HELD


class Row(NamedTuple):
    """One registration or gap. `date` is YYYYMMDD or "", `holder` the registry's opaque id or "", `name` never "".

    `level` 1 is what a registry registered, above that what lies in a row of the level before it: there "allocated" is
    said of what has rows in it, "assigned" of what has none.
    """

    range: Range
    registry: str
    country: str
    status: str
    date: str
    holder: str
    name: str
    level: int = 1

    @property
    def held(self) -> bool:
        """Tell whether somebody holds it: it is allocated or assigned by one of the five registries."""
        return self.status in HELD and self.registry != "iana"
