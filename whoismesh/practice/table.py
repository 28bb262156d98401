"""The allocation table that the practice registries answer from: who holds which range.

Two kinds of file are read, told apart by their content, plain or gzipped:

* CSV with the columns `start,end,level,registry,country,asn,name,status,date,holder`: first and last address as
  decimal integers, level 1 for what a registry registered, level 2 (status `routed`) for what is announced inside it;
* a registry's statistics file (`delegated`).

Level 1 alone is kept unless more is asked for. Level 2 lends it names (delegation files hold none, routing data does)
and says what is announced.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from whoismesh import iana
from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.delegated import Delegation, Problems, read, write, wrong_words
from whoismesh.errors import ConfigError
from whoismesh.practice.nested import NestedRows
from whoismesh.practice.row import Row
from whoismesh.rangesets import RangeSet

CSV_COLUMNS = ("start", "end", "level", "registry", "country", "asn", "name", "status", "date", "holder")

_LEVELS = frozenset("123456789")


class Routed(NamedTuple):
    """What is announced inside a level-1 row (a row of level 2): a range and the AS number."""

    range: Range
    asn: int


class AllocationTable:
    """Rows of both families; those of level 1 never overlap. Made by `load`, or of rows already at hand.

    `routed` is what is announced inside them, as far as the table says.

    >>> row = Row(Range.parse("193.0.0.0/21"), "ripencc", "NL", "assigned", "19930901", "", "RIPE NCC")
    >>> AllocationTable([row]).find(4, 3238002700).name
    'RIPE NCC'
    """

    def __init__(self, rows: Iterable[Row], routed: Iterable[Routed] = ()) -> None:
        """Sort the rows. Raises ConfigError if two of one level overlap, or one is not inside of the level before."""
        self.routed = tuple(routed)
        ordered = sorted(rows)
        self._rows: dict[int, list[Row]] = {4: [], 6: []}
        deeper: dict[int, list[Row]] = {4: [], 6: []}
        for row in ordered:
            if row.level > 1:
                deeper[row.range.family].append(row)
                continue
            before = self._rows[row.range.family]
            if before and before[-1].range.last >= row.range.first:
                raise ConfigError(f"rows overlap: {before[-1].range} and {row.range}; name each address once")
            before.append(row)
        self._firsts = {family: [row.range.first for row in rows] for family, rows in self._rows.items()}
        self._deeper = {family: _nested(self._apart(rows)) for family, rows in deeper.items()}
        self._foreign: dict[tuple[str, int], tuple[list[int], list[Range]]] = {}

    @classmethod
    def load(cls, path: str | Path, levels: int = 1) -> AllocationTable:
        """Read a CSV table, so many levels of it, or a delegated file, which has one.

        Raises ConfigError naming the file, and the line where one is wrong.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
            if data[:2] == b"\x1f\x8b":  # RFC 1952 section 2.3.1: what every gzip member begins with
                data = gzip.decompress(data)
            text = data.decode("utf-8")
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigError(f"{path}: cannot read the allocation table: {error}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: the allocation table is not UTF-8 text: {error}") from error
        head = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
        problems = Problems(str(path))
        routed: list[Routed] = []
        if head.startswith("start,end"):
            rows = _read_csv(text, problems, routed, levels)
        elif head.count("|") >= 5:
            rows = [Row(*each, neutral_name(each.holder, each.range)) for each in read(text.splitlines(), problems)]
        else:
            raise ConfigError(
                f"{path}: neither a CSV table (first line {','.join(CSV_COLUMNS)}) nor a delegated statistics file"
            )
        problems.raise_any()
        if not rows:
            raise ConfigError(f"{path}: the allocation table has no rows")
        try:
            return cls(rows, routed)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def find(self, family: int, address: int) -> Row | None:
        """Return the most specific row that holds an address, or None."""
        return self.smallest(Range(family, address, address))

    def smallest(self, wanted: Range) -> Row | None:
        """Return the most specific row that holds a whole range, or None."""
        return next(iter(self.around(wanted)), None)

    def around(self, wanted: Range) -> list[Row]:
        """Return the rows that hold a whole range, the narrowest first."""
        top = self._top(wanted.family, wanted.first)
        found = self._deeper[wanted.family].around(wanted)
        return [*found, top] if top is not None and top.range.contains(wanted) else found

    def below(self, wanted: Range) -> list[Row]:
        """Return the rows that lie in a range, but one of just this range, in order, the wider before the narrower."""
        tops = (row for row in self.rows(wanted) if wanted.contains(row.range) and row.range != wanted)
        found = [*tops, *self._deeper[wanted.family].below(wanted)]
        return sorted(found, key=lambda row: (row.range.first, -row.range.last))

    def children(self, wanted: Range) -> list[Row]:
        """Return the rows below a range that lie in no other row below it."""
        found: list[Row] = []
        for row in self.below(wanted):
            if not found or not found[-1].range.contains(row.range):
                found.append(row)
        return found

    def deeper(self) -> Iterator[Row]:
        """Yield the rows above level 1, in order."""
        for family in (4, 6):
            yield from self._deeper[family]

    def _apart(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield rows above level 1 without those of a range that is there: registries have one object for a range."""
        before: Range | None = None
        for row in rows:
            top = self._top(row.range.family, row.range.first)
            if top is None or not top.range.contains(row.range):
                raise ConfigError(f"row {row.range} of level {row.level} lies in no row of level 1")
            if row.range not in (top.range, before):
                before = row.range
                yield row

    def _top(self, family: int, address: int) -> Row | None:
        index = bisect_right(self._firsts[family], address) - 1
        if index < 0:
            return None
        row = self._rows[family][index]
        return row if address <= row.range.last else None

    def rows(self, space: Range | None = None) -> Iterator[Row]:
        """Yield all rows of level 1 in order, or those that have an address in common with `space`."""
        for family in (4, 6) if space is None else (space.family,):
            rows = self._rows[family]
            if space is None:
                yield from rows
                continue
            index = max(0, bisect_right(self._firsts[family], space.first) - 1)
            while index < len(rows) and rows[index].range.first <= space.last:
                if rows[index].range.last >= space.first:
                    yield rows[index]
                index += 1

    def published(self) -> str:
        """Return the rows as the NRO's joined statistics file has them, dated with the newest of them."""
        rows = [Delegation(*row[:6]) for row in self.rows()]
        date = max((row.date for row in rows), default="") or "00000000"
        return "".join(f"{line}\n" for line in write(rows, date))

    def space(self) -> list[Range]:
        """Return the merged ranges that the table speaks about, in order."""
        return list(RangeSet(row.range for row in self.rows()))

    @cached_property
    def network_count(self) -> int:
        """Count of the rows that somebody holds."""
        return sum(row.held for row in self.rows()) + sum(map(len, self._deeper.values()))

    def run_of(self, row: Row, within: Range) -> Range:
        """Return the run of rows of one registry, one after another without a gap, around a row and inside `within`."""
        rows = self._rows[row.range.family]
        low = high = bisect_left(self._firsts[row.range.family], row.range.first)
        while low > 0 and _continues(rows[low - 1], rows[low]) and within.contains(rows[low - 1].range):
            low -= 1
        while high + 1 < len(rows) and _continues(rows[high], rows[high + 1]) and within.contains(rows[high + 1].range):
            high += 1
        return Range(row.range.family, rows[low].range.first, rows[high].range.last)

    def foreign_run(self, registry: str, family: int, address: int) -> Range:
        """Return the widest range around an address in which nothing belongs to `registry`.

        The caller has made sure that the address itself does not.
        """
        key = (registry, family)
        if key not in self._foreign:
            own = RangeSet(block for block, home in iana.delegations() if home == registry and block.family == family)
            for row in self._rows[family]:
                if row.registry == registry:
                    own.add(row.range)
                elif row.registry != "iana":
                    own.remove(row.range)
            foreign = own.missing(Range(family, 0, MAX_ADDRESS[family]))
            self._foreign[key] = ([each.first for each in foreign], foreign)
        firsts, foreign = self._foreign[key]
        found = foreign[bisect_right(firsts, address) - 1]
        return found if found.holds(family, address) else Range(family, address, address)


def packaged() -> Path:
    """Return the path of the table that comes with whoismesh; see `cut` for what it is made of."""
    return Path(__file__).with_name("allocations.csv.gz")


def neutral_name(holder: str, found: Range) -> str:
    """Return what a holder is called whose name no source tells."""
    return f"Holder {holder}" if holder else f"Holder of {found}"


def _nested(rows: Iterable[Row]) -> NestedRows:
    """Nest rows above level 1, and say of each whether anything lies in it."""
    nested = NestedRows(rows)
    words = ("assigned", "allocated")
    return NestedRows(row._replace(status=words[any(True for _ in nested.below(row.range))]) for row in nested)


def _continues(left: Row, right: Row) -> bool:
    return left.held and right.held and left.registry == right.registry and left.range.last + 1 == right.range.first


def _read_csv(text: str, problems: Problems, routed: list[Routed], levels: int = 1) -> list[Row]:
    """Return the rows of so many levels; what level 2 announces goes to `routed`."""
    reader = csv.reader(io.StringIO(text, newline=""))
    rows: list[Row] = []
    words: dict[str, str] = {}
    keep = words.setdefault  # one string object for each distinct word: 500,000 rows have few
    deeper: list[Row] = []
    #: The largest level-2 row inside the level-1 row that is last in `rows`.
    widest = 0
    header: list[str] | None = None
    try:
        for fields in reader:
            if not fields or fields[0].startswith("#"):
                continue
            if header is None:
                header = fields
                if tuple(header) != CSV_COLUMNS:
                    problems.add(reader.line_num, f"expected the columns {','.join(CSV_COLUMNS)}")
                    break
                continue
            if len(fields) != len(CSV_COLUMNS):
                problems.add(reader.line_num, f"expected {len(CSV_COLUMNS)} fields, found {len(fields)}")
                continue
            start, end, level, registry, country, asn, name, status, date, holder = map(str.strip, fields)
            try:
                first, last = int(start), int(end)
            except ValueError:
                problems.add(reader.line_num, f"start and end must be decimal integers, not {start!r} and {end!r}")
                continue
            if not 0 <= first <= last <= MAX_ADDRESS[6] or (first <= MAX_ADDRESS[4] < last):
                problems.add(reader.line_num, f"{first}-{last} is no range of one address family")
                continue
            depth = int(level) if level in _LEVELS else 0
            if depth > 1:
                if not rows or not rows[-1].range.contains(Range(rows[-1].range.family, first, last)):
                    problems.add(reader.line_num, f"a level-{depth} row must follow the level-1 row that it lies in")
                    continue
                if depth == 2 and asn.isascii() and asn.isdigit() and 0 < int(asn) < 2**32:
                    routed.append(Routed(Range(rows[-1].range.family, first, last), int(asn)))
                if depth == 2 and name and last - first + 1 > widest >= 0:
                    widest = last - first + 1
                    rows[-1] = rows[-1]._replace(name=keep(name, name))
                if depth <= levels:
                    deeper.append(_deeper_row(rows[-1], first, last, depth, asn, keep(name, name)))
                continue
            wrong = wrong_words(registry, country, status, date)
            if depth != 1 or wrong:
                problems.add(reader.line_num, wrong or f"level must be 1 or 2, not {level!r}")
                continue
            found = Range(4 if last <= MAX_ADDRESS[4] else 6, first, last)
            # A name of its own settles it: -1 keeps level-2 rows from replacing it.
            widest = -1 if name else 0
            rows.append(
                Row(
                    found,
                    keep(registry, registry),
                    keep(country, country),
                    keep(status, status),
                    keep(date, date),
                    keep(holder, holder),
                    keep(name, name) if name else neutral_name(holder, found),
                )
            )
    except csv.Error as error:
        problems.add(reader.line_num, f"not CSV: {error}")
    return rows + deeper


def _deeper_row(top: Row, first: int, last: int, level: int, asn: str, name: str) -> Row:
    """Return a row above level 1: what routing data does not tell is as in the level-1 row around it."""
    found = Range(top.range.family, first, last)
    holder = f"AS{asn}" if asn.strip("0") else top.holder
    return top._replace(range=found, holder=holder, name=name or neutral_name(holder, found), level=level)
