"""Count networks and addresses of a dump by the country that each network names.

usage: count_by_country.py results.msgpack

A dump is read record by record and never loaded whole. An address in several networks counts in each of them.
"""

import sys
from collections import Counter

import whoismesh


def count(path: str) -> tuple[Counter[str], Counter[str]]:
    """Return the networks and the addresses of each country; `??` where a network names none."""
    networks, addresses = Counter[str](), Counter[str]()
    with whoismesh.open_dump(path) as dump:
        for record in dump:
            if isinstance(record, whoismesh.Network):
                country = record.country or "??"
                networks[country] += 1
                addresses[country] += record.range.size
    return networks, addresses


def main() -> int:
    """Return the exit code."""
    if len(sys.argv) != 2:
        print((__doc__ or "").split("\n")[2], file=sys.stderr)
        return 2
    try:
        networks, addresses = count(sys.argv[1])
    except whoismesh.WhoismeshError as error:
        print(f"count_by_country: {error}", file=sys.stderr)
        return error.exit_code
    for country, size in addresses.most_common():
        print(f"{country} {networks[country]:>6} networks {size:>12} addresses")
    return 0


if __name__ == "__main__":
    sys.exit(main())
