"""The hosts that `-H` names."""

import pytest

from whoismesh.errors import UsageError
from whoismesh.fleet.hosts import given_hosts


def test_the_first_one_coordinates_and_the_others_work() -> None:
    hosts = given_hosts(["admin@one:2222", "10.0.0.2", "[2001:db8::3]:22"])
    assert [(host.name, host.user, host.address, host.port) for host in hosts] == [
        ("one", "admin", "one", 2222),
        ("10.0.0.2", None, "10.0.0.2", None),
        ("2001-db8--3", None, "2001:db8::3", 22),
    ]
    assert [(host.coordinates, host.works) for host in hosts] == [(True, False), (False, True), (False, True)]


def test_another_one_may_coordinate_and_comes_first() -> None:
    assert [host.name for host in given_hosts(["one", "two"], "two") if host.coordinates] == ["two"]
    assert given_hosts(["one", "two"], "two")[0].name == "two"


def test_a_single_host_does_both() -> None:
    (host,) = given_hosts(["one"])
    assert host.coordinates
    assert host.works


@pytest.mark.parametrize("text", ["", "a b", "-oProxyCommand=x", "one:99999", "one:0", "@one", "[::1", "a,b", "o\nne"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no host; expected HOST"):
        given_hosts(["one", text])


def test_the_same_host_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="one twice"):
        given_hosts(["one", "root@one"])


def test_a_coordinator_that_is_none_of_them_is_refused() -> None:
    with pytest.raises(UsageError, match="three: is none of the hosts; expected one of one, two"):
        given_hosts(["one", "two"], "three")
