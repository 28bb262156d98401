"""What clients ask, by WHOIS (RFC 3912) and RDAP (RFC 9082). Pure: bytes or a path to a question, or what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from whoismesh.addresses import Range
from whoismesh.errors import AddressError

#: RFC 3912 sets no length; no range with all flags is longer. RIPE NCC's server takes as many.
MAX_LINE_BYTES = 1024

#: Flags of RIPE NCC's server that come with a value, as in `-T inetnum`; the others stand alone, joined or not.
_VALUED = frozenset("iTsVvqtz")
#: Words of ARIN's queries (`n + 193.0.0.1`): a kind of object, and how it is shown.
_ARIN_WORDS = frozenset(("n", "z", "+", "-", "=", ">"))
_HELP = frozenset(("help", "?"))


@dataclass(frozen=True, slots=True)
class WhoisQuery:
    """A query: the range asked about, or what it is instead: `problem` is the number and text of an error.

    `exact` (-x) wants just this range, `parents` (-l, -L) what lies around it and, with -L, itself first.
    """

    asked: Range | None = None
    problem: tuple[int, str, str] | None = None
    help: bool = False
    exact: bool = False
    parents: str = ""


def read_whois(line: bytes) -> WhoisQuery:
    """Read a query without its line end. Flags that do not change which network is meant (-r, -B, -G) are passed over.

    The numbers of errors are those of RIPE NCC's server (QueryMessages in RIPE-NCC/whois).
    """
    if len(line) > MAX_LINE_BYTES:
        return WhoisQuery(problem=(107, "input line too long", f"expected {MAX_LINE_BYTES} bytes at the most"))
    try:
        text = line.decode("ascii")
    except UnicodeDecodeError:
        return WhoisQuery(problem=(108, "bad character in input", "expected ASCII"))
    if not text.strip().isprintable():
        return WhoisQuery(problem=(108, "bad character in input", "expected no control character"))
    flags, words = _split(text.split())
    if words and words[0].lower() in _HELP and len(words) == 1:
        return WhoisQuery(help=True)
    if not words:
        known = (106, "no search key specified", 'expected an address or a range; "help" tells more')
        return WhoisQuery(problem=known)
    try:
        asked = Range.parse("".join(words) if words[1:2] == ["-"] and len(words) == 3 else " ".join(words))
    except AddressError as error:
        return WhoisQuery(problem=(115, "invalid search key", str(error)))
    parents = "L" if "L" in flags else "l" if "l" in flags else ""
    return WhoisQuery(asked, exact="x" in flags, parents=parents)


def _split(words: list[str]) -> tuple[set[str], list[str]]:
    """Return the flags (letters, or words after "--") and what is left, without ARIN's words before it."""
    flags: set[str] = set()
    left: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif left or not (word.startswith("-") and len(word) > 1):
            if left or word not in _ARIN_WORDS:
                left.append(word)
        elif word.startswith("--"):
            flags.add(word[2:])
        else:
            flags |= set(word[1:])
            skip = word[-1] in _VALUED
    return flags, left


@dataclass(frozen=True, slots=True)
class RdapQuery:
    """A request: the range asked about, or help; else the status and text of an error."""

    asked: Range | None = None
    status: int = 200
    problem: str = ""

    @property
    def help(self) -> bool:
        """Whether help is asked for."""
        return self.asked is None and self.status == 200


#: What RFC 9082 has besides addresses, and this server does not tell of.
_UNSERVED = frozenset(
    ("autnum", "domain", "nameserver", "entity", "ips", "autnums", "domains", "nameservers", "entities")
)


def read_rdap(path: str) -> RdapQuery:
    """Read a path, percent-decoded and without its query (of which no parameter is known: RFC 7480 section 4.3)."""
    kind, slash, text = path.lstrip("/").partition("/")
    if kind == "help" and not text:
        return RdapQuery()
    if kind in _UNSERVED:
        return RdapQuery(status=501, problem=f"{kind}: not served here; expected ip/ADDRESS, ip/CIDR or help")
    if kind != "ip" or not slash:
        return RdapQuery(status=400, problem="expected ip/ADDRESS, ip/CIDR or help (RFC 9082)")
    if "-" in text or text != text.strip():
        return RdapQuery(status=400, problem="expected one address or CIDR (RFC 9082 section 3.1.1)")
    try:
        return RdapQuery(Range.parse(text))
    except AddressError as error:
        return RdapQuery(status=400, problem=str(error))
