"""What each registry says, as RDAP bodies and WHOIS texts, and that ipwhois can read the RDAP bodies."""

import re
from collections.abc import Iterator
from functools import cache

import pytest
from ipwhois.net import Net
from ipwhois.rdap import RDAP

from whoismesh.addresses import Range, format_address
from whoismesh.practice import names, rdap_answers, whois_answers, whois_queries
from whoismesh.practice.rdap_answers import RdapAnswer
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.practice.verdicts import Kind, Verdict, delegation_of, judge
from whoismesh.registries import REGISTRIES

URLS = {registry: f"http://127.0.0.1:3000{number}/" for number, registry in enumerate(REGISTRIES)}


def row(text: str, registry: str, status: str = "allocated", country: str = "NL", date: str = "20070313") -> Row:
    held = status in ("allocated", "assigned")
    found = Range.parse(text)
    holder = f"{registry}-0f3c9a1b-77" if held else ""
    return Row(found, registry, country if held else "", status, date if held else "", holder, "Example Net S.A.")


TABLE = AllocationTable(
    [
        row("24.192.0.0/16", "arin", country="US"),
        row("24.193.0.0/16", "arin", "reserved"),
        row("46.128.0.0/16", "ripencc"),
        row("46.129.0.0/24", "ripencc", "available"),
        row("130.225.0.0-130.226.255.255", "ripencc", "assigned", date="19880817"),
        row("130.227.0.0/16", "ripencc", date="19900101"),
        row("130.228.0.0/16", "apnic", date="20150101"),
        row("200.57.128.0/19", "lacnic", country="MX"),
        row("200.160.0.0/20", "lacnic", "reserved"),
        row("196.11.239.0-196.11.246.255", "afrinic", "assigned", country="ZA"),
        row("196.1.1.0/24", "apnic", "assigned", country="IN", date="19921216"),
        row("202.128.0.0/16", "apnic", country="JP"),
        row("202.170.192.0/22", "ripencc", date="20201208"),
        row("2001:600::/32", "ripencc"),
        row("2001:4860::/32", "arin", country="US"),
        row("2800:10::/32", "lacnic", country="BR"),
    ]
)


def verdict(registry: str, text: str) -> Verdict:
    return judge(TABLE, registry, Range.parse(text))


def rdap(registry: str, text: str) -> RdapAnswer:
    return rdap_answers.answer(registry, verdict(registry, text), text, URLS)


def body(registry: str, text: str) -> rdap_answers.Json:
    answer = rdap(registry, text)
    assert answer.status == 200 and isinstance(answer.body, dict)
    return answer.body


def whois(registry: str, line: str) -> str:
    query = whois_queries.read(registry, line)
    assert query.asked is not None
    return whois_answers.answer(registry, judge(TABLE, registry, query.asked), query)


def field(text: str, name: str) -> list[str]:
    return [value.strip() for value in re.findall(rf"(?m)^{name}:[ ]*(.*?)\r?$", text)]


# -- who answers what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registry", "address", "kind", "owner"),
    [
        ("arin", "24.192.0.1", Kind.NETWORK, None),
        ("ripencc", "24.192.0.1", Kind.ELSEWHERE, "arin"),
        ("arin", "24.193.0.1", Kind.UNALLOCATED, None),  # reserved, its own
        ("apnic", "24.193.0.1", Kind.ELSEWHERE, "arin"),  # reserved, another's
        ("arin", "24.1.0.0", Kind.UNALLOCATED, None),  # no row, its own by IANA
        ("ripencc", "24.1.0.0", Kind.ELSEWHERE, "arin"),  # no row, another's by IANA
        ("arin", "130.225.0.1", Kind.ELSEWHERE, "ripencc"),  # transferred
        ("ripencc", "130.225.0.1", Kind.NETWORK, None),
        ("lacnic", "130.225.0.1", Kind.ELSEWHERE, "ripencc"),
        ("arin", "10.0.0.1", Kind.UNALLOCATED, None),  # nobody's
        ("ripencc", "46.128.4.0/22", Kind.NETWORK, None),
        ("ripencc", "46.128.0.0/15", Kind.POOL, None),  # wider than any network
        ("arin", "24.0.0.0/8", Kind.POOL, None),
        ("ripencc", "46.200.0.0/16", Kind.UNALLOCATED, None),
        ("afrinic", "24.0.0.0/8", Kind.ELSEWHERE, "arin"),
    ],
)
def test_who_answers_what(registry: str, address: str, kind: Kind, owner: str | None) -> None:
    found = verdict(registry, address)
    assert (found.kind, found.owner) == (kind, owner)


def test_every_address_of_the_packaged_table_has_one_registry_that_answers_and_four_that_point_to_it() -> None:
    table = AllocationTable.load(packaged())
    for each in table.rows():
        asked = Range(4, each.range.last, each.range.last)
        verdicts = {registry: judge(table, registry, asked) for registry in REGISTRIES}
        own = verdicts.pop(each.registry)
        assert own.kind is (Kind.NETWORK if each.held else Kind.UNALLOCATED) and own.row == each
        assert {found.owner for found in verdicts.values()} == {each.registry}


# -- RDAP ------------------------------------------------------------------------------------------------------------


def test_arin_rdap() -> None:
    found = body("arin", "24.192.5.6")
    assert found["handle"] == "NET-24-192-0-0-1" and found["parentHandle"] == "NET-24-0-0-0-0"
    assert found["startAddress"] == "24.192.0.0" and found["endAddress"] == "24.192.255.255"
    assert "country" not in found
    assert "arin_originas0" in found["rdapConformance"] and found["arin_originas0_originautnums"] == []
    assert found["cidr0_cidrs"] == [{"v4prefix": "24.192.0.0", "length": 16}]
    assert [event["eventDate"] for event in found["events"]] == ["2007-03-13T00:00:00-05:00"] * 2
    assert names.eastern_moment("20070713") == "2007-07-13T00:00:00-04:00"
    (registrant,) = found["entities"]
    assert registrant["roles"] == ["registrant"] and registrant["handle"] == "AR-ARIN0F3C"
    assert ["adr", {"label": "United States"}, "text", [""] * 7] in registrant["vcardArray"][1]
    assert registrant["entities"][0]["roles"] == ["abuse", "administrative", "technical"]
    assert body("arin", "2001:4860::1")["handle"] == "NET6-2001-4860-1"
    assert body("arin", "2001:4860::1")["cidr0_cidrs"] == [{"v6prefix": "2001:4860::", "length": 32}]


def test_ripencc_rdap() -> None:
    found = body("ripencc", "46.128.0.1")
    assert found["handle"] == "46.128.0.0 - 46.128.255.255" and found["country"] == "NL"
    assert found["type"] == "ALLOCATED PA" and found["name"] == "NL-EXAMPLE-NET-20070313"
    assert found["parentHandle"] == "46.0.0.0 - 46.255.255.255"
    assert {role for entity in found["entities"] for role in entity["roles"]} >= {"registrant", "technical"}
    legacy = body("ripencc", "130.226.0.1")
    assert legacy["type"] == "LEGACY" and legacy["parentHandle"] == "0.0.0.0 - 255.255.255.255"
    assert body("ripencc", "2001:600::1")["handle"] == "2001:600::/32"


def test_a_range_that_is_no_cidr_has_several_cidr0_entries() -> None:
    assert [(each["v4prefix"], each["length"]) for each in body("afrinic", "196.11.240.1")["cidr0_cidrs"]] == [
        ("196.11.239.0", 24),
        ("196.11.240.0", 22),
        ("196.11.244.0", 23),
        ("196.11.246.0", 24),
    ]


def test_apnic_lacnic_and_afrinic_rdap() -> None:
    apnic = body("apnic", "202.128.0.1")
    assert apnic["handle"] == "202.128.0.0 - 202.128.255.255" and apnic["type"] == "ALLOCATED PORTABLE"
    assert "history_version_0" in apnic["rdapConformance"]
    lacnic = body("lacnic", "200.57.140.1")
    assert lacnic["handle"] == "200.57.128.0/19" and lacnic["country"] == "MX"
    assert lacnic["lacnic_legalRepresentative"] == names.ROLE_NAME
    assert lacnic["entities"][1]["handle"] == "MX-LACNIC0F-LACNIC"
    afrinic = body("afrinic", "196.11.240.1")
    assert afrinic["handle"] == "196.11.239.0 - 196.11.246.255" and afrinic["type"] == "ASSIGNED PI"
    assert all(entity["port43"] == "whois.afrinic.net" for entity in afrinic["entities"])


def test_rdap_elsewhere_not_found_and_errors() -> None:
    moved = rdap("arin", "130.225.0.1")
    assert moved.status == 301 and moved.headers["Location"] == URLS["ripencc"] + "ip/130.225.0.1"
    assert rdap("arin", "130.225.0.0/17").headers["Location"].endswith("ip/130.225.0.0/17")
    for registry, address in (("arin", "24.193.0.1"), ("ripencc", "46.129.0.1"), ("lacnic", "200.160.0.1")):
        answer = rdap(registry, address)
        assert answer.status == 404 and isinstance(answer.body, dict)
        assert answer.body["errorCode"] == 404 and answer.body["title"] and answer.body["description"]
        assert "startAddress" not in answer.body
    for registry in REGISTRIES:
        limit = rdap_answers.limited(registry, "127.0.0.1", 7)
        assert limit.status == 429 and limit.headers["Retry-After"] == "7"
        assert rdap_answers.bad_request(registry).status == 400
        assert rdap_answers.server_error(registry).status == 500
    assert rdap_answers.limited("ripencc", "127.0.0.1", 7).content_type == "text/html"
    lacnic = rdap_answers.limited("lacnic", "127.0.0.1", 7).body
    assert isinstance(lacnic, dict) and lacnic["notices"][0]["title"] == "Rate Limit Notice"


def test_a_pool_has_no_date_and_names_the_registry() -> None:
    pool = body("arin", "24.0.0.0/8")
    assert pool["handle"] == "NET-24-0-0-0-0" and pool["events"] == []
    assert pool["entities"][0]["vcardArray"][1][1][3] == "American Registry for Internet Numbers"


@cache
def sample() -> list[Row]:
    held = [each for each in AllocationTable.load(packaged()).rows() if each.held]
    return held[::97] + [each for each in held if not each.range.is_cidr()][:20]


def test_ipwhois_reads_the_answers_of_all_five() -> None:
    table = AllocationTable.load(packaged())
    seen = set()
    for each in sample():
        address = format_address(4, each.range.first)
        answer = rdap_answers.answer(each.registry, judge(table, each.registry, Range.parse(address)), address, URLS)
        parsed = RDAP(Net(address)).lookup(response=answer.body, bootstrap=True, root_ent_check=False, depth=0)
        network = parsed["network"]
        assert network["start_address"] == address
        assert network["end_address"] == format_address(4, each.range.last)
        assert network["cidr"] == ", ".join(each.range.cidrs())
        assert network["handle"] and network["name"]
        assert network["country"] == (None if each.registry == "arin" else each.country)
        assert each.name in {entity["contact"]["name"] for entity in parsed["objects"].values() if entity["contact"]}
        seen.add(each.registry)
    assert seen == set(REGISTRIES)


def test_the_same_holder_has_the_same_handle_and_no_other_has_it() -> None:
    handles: dict[str, set[tuple[str, str]]] = {}
    for each in AllocationTable.load(packaged()).rows():
        # LACNIC's handles begin with the country of the organisation, which a holder of several countries repeats.
        if each.held and each.holder:
            handles.setdefault(names.holder_handle(each), set()).add((each.registry, each.holder))
    assert all(len(holders) == 1 for holders in handles.values())


# -- WHOIS -----------------------------------------------------------------------------------------------------------


def test_arin_whois() -> None:
    text = whois("arin", "n + 24.192.0.1")
    assert field(text, "NetRange") == ["24.192.0.0 - 24.192.255.255"] and field(text, "CIDR") == ["24.192.0.0/16"]
    assert field(text, "NetHandle") == ["NET-24-192-0-0-1"] and field(text, "Parent") == ["NET24 (NET-24-0-0-0-0)"]
    assert field(text, "NetType") == ["Direct Allocation"]
    assert field(text, "Organization") == ["Example Net S.A. (AR-ARIN0F3C)"]
    assert field(text, "OrgName") == ["Example Net S.A."] and field(text, "Country") == ["US"]
    assert field(text, "RegDate") == ["2007-03-13"] * 2
    assert "ambiguous" not in text and "ambiguous" in whois("arin", "24.192.0.1")
    assert "No match found for n + 24.193.0.1." in whois("arin", "n + 24.193.0.1")
    assert field(whois("arin", "n + 2001:4860::1"), "NetRange")[0].startswith("2001:4860:: - 2001:4860:ffff")


def test_arin_whois_points_to_the_registry_of_a_transferred_block() -> None:
    text = whois("arin", "n + 130.226.0.1")
    # The run of RIPE NCC's blocks, as ARIN's ERX ranges are: three /16s that are no CIDR.
    assert field(text, "NetRange") == ["130.225.0.0 - 130.227.255.255"]
    assert field(text, "CIDR") == ["130.225.0.0/16, 130.226.0.0/15"]
    assert field(text, "NetName") == ["RIPE-ERX-130-225-0-0"] and field(text, "OrgId") == ["RIPE"]
    assert field(text, "NetType") == ["Early Registrations, Transferred to RIPE NCC"]
    assert field(text, "ReferralServer") == ["whois://whois.ripe.net"]
    assert field(whois("arin", "n + 130.228.0.1"), "NetName") == ["APNIC"]


def test_arin_whois_points_to_iana_s_choice_first_and_to_the_transfer_last() -> None:
    text = whois("arin", "n + 202.128.0.1")
    assert field(text, "NetRange") == ["202.0.0.0 - 202.255.255.255"] and field(text, "NetType") == [
        "Allocated to APNIC"
    ]
    both = whois("arin", "n + 202.170.192.1")
    assert field(both, "NetRange") == ["202.0.0.0 - 202.255.255.255", "202.170.192.0 - 202.170.195.255"]
    assert field(both, "ReferralServer") == ["whois://whois.apnic.net", "whois://whois.ripe.net"]


def test_ripencc_whois() -> None:
    text = whois("ripencc", "-r -G -T inetnum,inet6num 46.128.0.1")
    assert text.startswith("% This is the RIPE Database query service.\n")
    assert "\n% Information related to '46.128.0.0 - 46.128.255.255'\n" in text
    assert field(text, "inetnum") == ["46.128.0.0 - 46.128.255.255"] and field(text, "country") == ["NL"]
    assert field(text, "created") == ["2007-03-13T00:00:00Z"] and field(text, "source") == ["RIPE"]
    assert field(text, "status") == ["ALLOCATED PA"] and field(text, "descr") == ["Example Net S.A."]
    assert not field(text, "role") and not field(text, "route")
    full = whois("ripencc", "46.128.0.1")
    assert field(full, "org-name") == ["Example Net S.A."] and field(full, "role") == [names.ROLE_NAME]
    assert field(whois("ripencc", "-r 2001:600::1"), "inet6num") == ["2001:600::/32"]
    assert "%ERROR:101: no entries found\n" in whois("ripencc", "46.129.0.1")


def test_a_route_object_follows_some_networks() -> None:
    texts = [whois("ripencc", f"-r {address}") for address in ("46.128.0.1", "130.225.0.1", "130.227.0.1")]
    assert [bool(field(text, "route")) for text in texts].count(True) >= 1
    with_route = next(text for text in texts if field(text, "route"))
    assert with_route.index("inetnum:") < with_route.index("route:")


def test_ripencc_whois_of_space_it_does_not_manage() -> None:
    text = whois("ripencc", "-r 24.192.0.1")
    assert field(text, "netname") == ["NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK"]
    (found,) = field(text, "inetnum")
    around = Range.parse(found.replace(" ", ""))
    assert around.contains(Range.parse("24.0.0.0/8")) and not around.overlap(Range.parse("25.0.0.0/8"))


def test_apnic_whois() -> None:
    text = whois("apnic", "-r 202.128.0.1")
    assert text.startswith("% [whois.apnic.net]\n") and field(text, "status") == ["ALLOCATED PORTABLE"]
    stub = whois("apnic", "-r 202.170.193.1")
    assert field(stub, "netname") == ["STUB-202-170-192-0SLASH22"] and field(stub, "country") == ["ZZ"]
    assert field(stub, "descr") == ["Transferred to the RIPE region on 2020-12-08T00:00:00Z."]
    assert field(stub, "mnt-by") == ["APNIC-STUB"]
    assert field(whois("apnic", "24.192.0.1"), "netname") == ["IANA-NETBLOCK-24"]
    assert "%ERROR:101: no entries found\n" in whois("apnic", "202.1.0.1")


def test_lacnic_whois() -> None:
    text = whois("lacnic", "200.57.140.1")
    assert "\r\n" in text and "\n" not in text.replace("\r\n", "")
    assert field(text, "inetnum") == ["200.57.128/19"] == field(text, "inetrev")
    assert field(text, "owner") == ["Example Net S.A."] and field(text, "country") == ["MX"] * 2
    assert field(text, "created")[0] == "20070313" and field(text, "person") == [names.ROLE_NAME]
    assert "% LACNIC resource: whois.lacnic.net\r\n" in text
    assert "% Unallocated and unassigned in LACNIC block: 200.160.0.1\r\n" in whois("lacnic", "200.160.0.1")
    assert "% Not assigned to LACNIC: 24.192.0.1\r\n" in whois("lacnic", "24.192.0.1")
    assert field(whois("lacnic", "2800:10::1"), "inet6num") == ["2800:10::/32"]
    assert names.short_cidr(Range.parse("200.160.0.0/20")) == "200.160/20"
    assert names.short_cidr(Range.parse("200.0.0.0/8")) == "200/8"
    assert names.short_cidr(Range.parse("200.1.0.0-200.3.255.255")) == "200.1.0.0 - 200.3.255.255"


def test_afrinic_whois() -> None:
    text = whois("afrinic", "-r 196.11.240.1")
    assert field(text, "inetnum") == ["196.11.239.0 - 196.11.246.255"]
    assert field(text, "parent") == ["196.0.0.0 - 196.255.255.255"] and field(text, "source") == ["AFRINIC # Filtered"]
    gone = whois("afrinic", "-r 196.1.1.1")
    assert field(gone, "netname") == ["AFRINIC-NET-TRANSFERRED-19921216"]
    other = whois("afrinic", "-r 24.192.0.1")
    assert field(other, "netname") == ["IANA-BLK"] and field(other, "inetnum") == ["0.0.0.0 - 255.255.255.255"]
    assert "%ERROR:101: no entries found\n" in whois("afrinic", "196.200.0.1")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-k -r -G -T inetnum,inet6num 46.128.0.1", "inetnum:"),
        ("-rBG 46.128.0.1", "inetnum:"),
        ("-Tinetnum -s RIPE 46.128.0.1", "inetnum:"),
        ("--no-referenced --select-types inetnum 46.128.0.1", "inetnum:"),
        ("--charset=UTF-8 46.128.0.1", "inetnum:"),
        ("-V tag -r 46.128.0.1", "inetnum:"),
        ("-r 46.128.0.0/16", "inetnum:"),
        ("-r 46.128.0.0 - 46.128.0.255", "inetnum:"),
        ("-x 46.128.0.0/16", "inetnum:"),
        ("-x 46.128.0.1", "%ERROR:101"),
        ("-T person 46.128.0.1", "%ERROR:101"),
        ("-r -F 46.128.0.0/16", "%ERROR:112"),
    ],
)
def test_ripe_flags(line: str, expected: str) -> None:
    assert expected in whois("ripencc", line)


def test_keys_only_and_charsets() -> None:
    text = whois("ripencc", "-r -K 46.128.0.1")
    assert field(text, "inetnum") and not field(text, "netname")
    assert whois_answers.charset("ripencc") == "latin-1"
    assert whois_answers.charset("ripencc", whois_queries.read("ripencc", "-Z utf-8 46.128.0.1")) == "utf-8"


def bad_queries() -> Iterator[tuple[str, str, str]]:
    yield "arin", "n + nonsense", "No match found for nonsense."
    yield "lacnic", "nonsense", "% Invalid IP or CIDR block: nonsense"
    yield "ripencc", "-r nonsense", "%ERROR:101: no entries found"
    yield "ripencc", "-r", "%ERROR:106: no search key specified"
    yield "afrinic", "46.128.0.1/16", "%ERROR:101: no entries found"


@pytest.mark.parametrize(("registry", "line", "expected"), list(bad_queries()))
def test_what_is_no_question_gets_an_answer(registry: str, line: str, expected: str) -> None:
    query = whois_queries.read(registry, line)
    assert query.asked is None and query.problem
    assert expected in whois_answers.bad_query(registry, query)


def test_limits_are_told_in_each_registry_s_words() -> None:
    said = {registry: whois_answers.limited(registry, "127.0.0.1") for registry in REGISTRIES}
    assert "Unable to service request due to high volume" in said["arin"]
    assert "\n%ERROR:201: access denied for 127.0.0.1\n" in said["ripencc"] and "temporarily" in said["ripencc"]
    assert "\n%ERROR:201: access control limit reached for 127.0.0.1\n" in said["apnic"]
    assert "% Query rate limit exceeded\r\n" in said["lacnic"]
    assert "\n%ERROR:201: access denied for 127.0.0.1\n" in said["afrinic"]
    assert "permanently" not in "".join(said.values())
    assert "%ERROR:100" in whois_answers.server_error("ripencc") and not whois_answers.server_error("arin")


def test_no_person_is_named() -> None:
    texts = [
        whois(each.registry, format_address(each.range.family, each.range.first)) for each in TABLE.rows() if each.held
    ]
    people = [value for text in texts for name in ("person", "role", "responsible") for value in field(text, name)]
    assert set(people) == {names.ROLE_NAME}


def test_iana_s_delegations_are_found_by_address() -> None:
    assert delegation_of(4, Range.parse("46.1.2.3").first) == (Range.parse("46.0.0.0/8"), "ripencc")
    assert delegation_of(4, Range.parse("10.0.0.1").first) is None and delegation_of(4, 0) is None
