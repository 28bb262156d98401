"""What an object of a bulk file means: the same as in an answer at port 43."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import MAX_ADDRESS, Range, parse_address
from whoismesh.answers import Reply, Status, understand
from whoismesh.bulk.reading import NotTaken, Organisation, Skipped, candidate_of, network_of, organisation_of
from whoismesh.networks import Holder, Network
from whoismesh.practice import whois_answers
from whoismesh.practice.quirks import Quirk, odd_text
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.practice.verdicts import Kind, judge
from whoismesh.practice.whois_queries import read as read_query
from whoismesh.rangesets import RangeSet

CAPTURES = Path(__file__).parent.parent / "fixtures" / "captures" / "ipwhois"
EVERYWHERE = RangeSet([Range(4, 0, MAX_ADDRESS[4]), Range(6, 0, MAX_ADDRESS[6])])
RIPE = """\
inetnum:        193.0.0.0 - 193.0.7.255
netname:        RIPE-NCC
descr:          RIPE Network Coordination Centre
descr:          Amsterdam, Netherlands
org:            ORG-RIEN1-RIPE
country:        NL
admin-c:        DUMY-RIPE
status:         ASSIGNED PA
mnt-by:         RIPE-NCC-MNT
created:        2003-03-17T12:15:57Z
last-modified:  2017-12-04T14:42:31Z
source:         RIPE
remarks:        ****************************
remarks:        * THIS OBJECT CONTAINS PLACEHOLDER DATA
remarks:        ****************************"""


def read(text: str | bytes, space: RangeSet = EVERYWHERE, **organisations: str) -> Network | NotTaken | None:
    return network_of(
        text.encode() if isinstance(text, str) else text, space, "ripe.db.inetnum.gz", 7.0, organisations.get
    )


def changed(old: str, new: str) -> str:
    assert old in RIPE
    return RIPE.replace(old, new)


def test_every_field_of_a_network() -> None:
    assert read(RIPE) == Network(
        "ripencc",
        Range.parse("193.0.0.0/21"),
        handle="193.0.0.0 - 193.0.7.255",
        name="RIPE-NCC",
        type="ASSIGNED PA",
        country="NL",
        holder=Holder("ORG-RIEN1-RIPE", "RIPE Network Coordination Centre"),
        registered="2003-03-17T12:15:57Z",
        changed="2017-12-04T14:42:31Z",
        source="bulk",
        server="ripe.db.inetnum.gz",
        asked="193.0.0.0",
        fetched_at=7.0,
    )


def test_a_holder_is_called_as_its_organisation_object_says() -> None:
    data = b"organisation:   ORG-Rien1-RIPE\norg-name:       R\xc3\xa9seaux\norg-type: RIR\nsource: RIPE"
    assert organisation_of(data) == Organisation("ORG-RIEN1-RIPE", "Réseaux")
    found = read(RIPE, **{"ORG-RIEN1-RIPE": "Réseaux"})
    assert isinstance(found, Network)
    assert found.holder == Holder("ORG-RIEN1-RIPE", "Réseaux")
    assert organisation_of(b"organisation: X\nsource: RIPE") is None
    assert organisation_of(RIPE.encode()) is None


@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "windows-1252"])
def test_each_object_has_a_charset_of_its_own(charset: str) -> None:
    found = read(
        changed("Coordination", "Coördinatie – é" if charset != "latin-1" else "Coördinatie é").encode(charset)
    )
    assert isinstance(found, Network)
    assert found.holder.name in ("RIPE Network Coördinatie – é Centre", "RIPE Network Coördinatie é Centre")


@pytest.mark.parametrize(
    "text",
    [
        changed("inetnum:", "INETNUM:"),
        changed("netname:", "NetName:").replace("source:", "Source:".lower()),
        changed("netname:        RIPE-NCC\n", "netname:\n  RIPE-NCC\n"),
        changed("netname:        RIPE-NCC\n", "netname:\n+\tRIPE-NCC\n"),
        "% a comment\n# another\n" + RIPE,
        changed("source:         RIPE", "source:         RIPE # Filtered"),
        changed("source:         RIPE", "source: ripe"),
        changed("193.0.0.0 - 193.0.7.255", "193.0.0.0/21"),
        changed("193.0.0.0 - 193.0.7.255", "193.000.000.000-193.0.7.255  # all of it"),
        RIPE + "\n",
    ],
)
def test_other_ways_to_write_the_same(text: str) -> None:
    assert read(text) == read(RIPE)
    assert candidate_of(text.encode(), EVERYWHERE) == ("ripencc", Range.parse("193.0.0.0/21"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("route: 193.0.0.0/21\norigin: AS3333\nsource: RIPE", Skipped.OTHER_CLASS),
        ("person: X\nsource: RIPE", Skipped.OTHER_CLASS),
        (changed("193.0.0.0 - 193.0.7.255", "0.0.0.0 - 255.255.255.255"), Skipped.PLACEHOLDER),
        (changed("RIPE-NCC\n", "IANA-BLK\n"), Skipped.PLACEHOLDER),
        (changed("RIPE-NCC\n", "NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK\n"), Skipped.ELSEWHERE),
        (changed("RIPE-NCC\n", "EU-ZZ-193\n").replace("ASSIGNED PA", "ALLOCATED UNSPECIFIED"), Skipped.POOL),
        (changed("source:         RIPE", "source:         APNIC-GRS"), Skipped.OTHER_SOURCE),
        (changed("source:         RIPE", "source:         TEST"), Skipped.OTHER_SOURCE),
        (changed("RIPE Network", "Wide").replace("193.0.0.0 -", "24.0.0.0 -"), Skipped.MALFORMED),
        (changed("193.0.0.0 - 193.0.7.255", "193.0.0.0 - 193.0.7.256"), Skipped.MALFORMED),
        (changed("193.0.0.0 - 193.0.7.255", "193.0.7.255 - 193.0.0.0"), Skipped.MALFORMED),
        (changed("193.0.0.0 - 193.0.7.255", ""), Skipped.MALFORMED),
        (changed("source:         RIPE\n", ""), Skipped.MALFORMED),
        ("no colon here", Skipped.MALFORMED),
        ("inetnum: 1.1.1.0 - 1.1.1.255\nnetname: STUB-1-1-1-0SLASH24\n"
         "descr: Transferred to the RIPE region on 2020-12-08T07:54:04Z.\nmnt-by: APNIC-STUB\nsource: APNIC",
         Skipped.ELSEWHERE),
        ("inetnum: 196.0.0.0 - 196.0.0.255\nnetname: AFRINIC-NET-TRANSFERRED-2020\nsource: AFRINIC", Skipped.ELSEWHERE),
        ("inetnum: 196.0.0.0 - 196.0.0.255\nnetname: X\nremarks: The country is really worldwide.\nsource: AFRINIC",
         Skipped.PLACEHOLDER),
    ],
)  # fmt: skip
def test_what_is_not_taken_and_why(text: str, why: Skipped) -> None:
    found = read(text)
    assert isinstance(found, NotTaken)
    assert found.why is why
    assert candidate_of(text.encode(), EVERYWHERE) == found  # the first look is as sure of it
    assert bool(found.reason) == (why is Skipped.MALFORMED)


def test_what_is_outside_the_space_is_not_even_judged() -> None:
    assert read(RIPE, RangeSet([Range.parse("193.0.8.0/21")])) == NotTaken(Skipped.OUTSIDE)
    assert isinstance(read(RIPE, RangeSet([Range.parse("193.0.7.255")])), Network)


def test_a_mere_comment_is_nothing() -> None:
    assert read("# The contents of this file are subject to\n#\n% terms") is None


def same(live: Network, bulk: Network | NotTaken | None) -> bool:
    """Tell whether a bulk file says what a live answer says, in each field that is about the network."""
    if not isinstance(bulk, Network):
        return False
    return replace(bulk, source="whois", server=live.server, asked=live.asked, fetched_at=live.fetched_at) == live


def objects_of(body: bytes) -> list[bytes]:
    blocks = body.replace(b"\r\n", b"\n").split(b"\n\n")
    return [each for block in blocks if (each := block.strip(b"\n")).startswith((b"inetnum", b"inet6num"))]


@pytest.mark.parametrize(
    ("registry", "address"),
    [
        ("ripencc", "62.239.237.1"),
        ("apnic", "210.107.73.73"),
        ("afrinic", "196.11.240.215"),
        ("lacnic", "200.57.141.161"),
    ],
)
def test_a_real_answer_and_a_file_with_its_objects_say_the_same(registry: str, address: str) -> None:
    body = (CAPTURES / registry / f"{address}.whois.txt").read_bytes()
    live = understand(Reply(registry, "whois", *parse_address(address), body, "", 0.0), {}).network
    assert live is not None
    orgs = [each for block in body.split(b"\n\n") if (each := organisation_of(block.strip())) is not None]
    source = {"lacnic": b"\nsource: LACNIC"}.get(registry, b"")
    (found,) = [
        network
        for each in objects_of(body)
        if isinstance(network := read(each + source, **{org.handle: org.name for org in orgs}), Network)
    ]
    assert same(live, found)


@pytest.mark.parametrize("registry", ["ripencc", "apnic", "afrinic"])
def test_every_answer_of_practice_registries_means_the_same_in_a_file(registry: str) -> None:
    """Networks, and what is none: stubs, placeholders, objects over foreign space, in odd spellings too."""
    table = AllocationTable.load(packaged())
    kinds = set()
    for row in list(table.rows())[:: 9 if registry == "ripencc" else 5]:
        asked = Range(row.range.family, row.range.first, row.range.first)
        verdict = judge(table, registry, asked)
        query = read_query(registry, f"-r -T inetnum {asked}")
        text = whois_answers.answer(registry, verdict, query)
        for odd in (None, Quirk.PADDED, Quirk.OTHER_LINE_ENDS) if verdict.kind is Kind.NETWORK else (None,):
            body = (odd_text(odd, registry, text, verdict) if odd else text).encode(
                whois_answers.charset(registry), "replace"
            )
            live = understand(Reply(registry, "whois", asked.family, asked.first, body, "", 0.0), {})
            objects = objects_of(body)
            if not objects:
                assert live.status is Status.UNALLOCATED
                continue
            found = read(objects[-1])
            candidate = candidate_of(objects[-1], EVERYWHERE)
            assert candidate == ((found.registry, found.range) if isinstance(found, Network) else found)
            kinds.add(live.status)
            if live.network is not None:
                assert same(live.network, found), objects
            else:
                assert isinstance(found, NotTaken)
                assert found.why == str(live.status)
    assert {Status.NETWORK, Status.PLACEHOLDER if registry == "afrinic" else Status.ELSEWHERE} <= kinds


@given(
    st.binary(max_size=200)
    | st.tuples(st.sampled_from(RIPE.encode().split(b"\n")), st.binary(max_size=40)).map(b"".join)
)
def test_nothing_raises(data: bytes) -> None:
    for text in (data, RIPE.encode() + b"\n" + data, b"inetnum:" + data, b"inet6num:" + data):
        found = read(text)
        assert found is None or isinstance(found, Network | NotTaken)
        candidate_of(text, EVERYWHERE)
        organisation_of(text)
