"""A server between boto3 and moto: keeps each request, answers what moto cannot, and behaves as EC2 does on bad days.

What EC2 does and moto does not, and is done here: a client token makes a repeated request the same one, and a different
one an error; instant fleets are described by name only; prices, Debian's images, consoles with host keys, pages.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import boto3

REGION = "eu-west-1"
IMAGES = {"amd64": "ami-760aaa0f", "arm64": "ami-0e9271c829888680e"}
#: USD an hour, in the order in which the pools come; each later pool is a tenth of a cent dearer.
CHEAPEST = 0.0031

#: All that an answer says of one instance.
_INSTANCE = re.compile(rb"<instanceId>(i-[0-9a-f]+)</instanceId>.*?(?=<instanceId>|\Z)", re.DOTALL)
_KEY_BODY = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"


def host_key(instance: str) -> str:
    """Return a well-formed ssh key that is an instance's own."""
    return f"ssh-ed25519 {base64.b64encode(_KEY_BODY + instance.encode().ljust(32, b'.')[:32]).decode()}"


def console_of(instance: str) -> str:
    """Return what cloud-init writes on a console, among what a kernel writes."""
    return (
        "[    0.000000] Linux version 6.1.0-13-cloud-amd64\r\n"
        "ci-info: no authorized SSH keys fingerprints found for user admin.\r\n"
        "<14>Nov 25 01:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n"
        "<14>Nov 25 01:00:00 cloud-init: 256 SHA256:abc root@ip-10-0-0-1 (ED25519)\r\n"
        "<14>Nov 25 01:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\r\n"
        "-----BEGIN SSH HOST KEY KEYS-----\r\n"
        f"{host_key(instance)} root@ip-10-0-0-1\r\n"
        "-----END SSH HOST KEY KEYS-----\r\n"
        "[   19.1] cloud-init[612]: Cloud-init v. 22.4.2 finished\r\n"
    )


@dataclass(frozen=True)
class Call:
    """One request: `parameters` are flat for EC2 (`Filter.1.Name`), as sent for JSON services."""

    service: str
    action: str
    parameters: Mapping[str, Any]

    def values(self, prefix: str) -> list[str]:
        """Return the values of the members of a list."""
        found = [(key, value) for key, value in self.parameters.items() if key.startswith(f"{prefix}.")]
        return [value for _, value in sorted(found)]


@dataclass
class Answer:
    status: int
    body: bytes


def refusal(code: str, message: str = "told by the test", status: int = 400) -> Answer:
    """Return an error as EC2 words it."""
    text = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>0</RequestID></Response>"
    )
    return Answer(status, text.encode())


@dataclass
class BetweenAws:
    moto_port: int
    calls: list[Call] = field(default_factory=list)
    #: What answers instead of EC2, in order; the first that returns something does.
    rules: list[Callable[[Call], Answer | None]] = field(default_factory=list)
    #: Zones without capacity, and how many spot instances there are in all (None: any number).
    dry_zones: set[str] = field(default_factory=set)
    capacity: int | None = None
    #: Answers that never arrive: the request is carried out, and then the connection is closed.
    lost: list[str] = field(default_factory=list)
    #: So many items a page, where the caller does not say.
    page: int | None = None
    consoles: Callable[[str], str] = console_of
    #: Addresses and ssh keys of hosts that stand for the instances, in the order in which these are first described.
    machines: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Any = None
        self._stands_for: dict[str, int] = {}
        self._tokens: dict[tuple[str, str], tuple[str, Answer]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the variables with which boto3 comes here; no file of this machine counts."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        }

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reset(self) -> None:
        """Begin with an empty account, and with good days."""
        self.forward("POST", "/moto-api/reset", {}, b"")
        for each in (self.calls, self.rules, self.dry_zones, self.lost, self._tokens):
            each.clear()
        self.capacity, self.page, self.consoles = None, None, console_of

    def named(self, action: str) -> list[Call]:
        return [call for call in self.calls if call.action == action]

    # -- the way through --------------------------------------------------------------------------------------------

    def forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.moto_port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """Return what boto3 gets; None closes the connection."""
        call = _call(headers, body)
        with self._lock:
            self.calls.append(call)
            for rule in self.rules:
                if (found := rule(call)) is not None:
                    return found
            own = getattr(self, f"_{call.action}", None)
            found = own(call) if own else None
            if found is None:
                found = self._once(call, lambda: self._forwarded(call, method, path, headers, body))
            if call.action in self.lost:
                self.lost.remove(call.action)
                return None
            return found

    def _once(self, call: Call, carry_out: Callable[[], Answer]) -> Answer:
        """Carry out a request with a client token once; say the same the next time."""
        token = call.parameters.get("ClientToken")
        if not token or call.action == "CreateSecurityGroup":
            return carry_out()
        key = (call.action, token)
        told = json.dumps(dict(call.parameters), sort_keys=True)
        if key not in self._tokens:
            answer = carry_out()
            if answer.status == 200:
                self._tokens[key] = (told, answer)
            return answer
        before, answer = self._tokens[key]
        return answer if before == told else refusal("IdempotentParameterMismatch")

    def _forwarded(self, call: Call, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if call.service != "ec2":
            return self.forward(method, path, headers, body)
        parameters = dict(call.parameters)
        short = call.action == "CreateFleet" and (self.dry_zones or self.capacity is not None)
        errors = self._short(parameters) if short else ""
        put_tags = self._tag_snapshots(parameters) if call.action == "CreateImage" else None
        if self.page and call.action.startswith("Describe") and not any("Id.1" in name for name in parameters):
            parameters.setdefault("MaxResults", str(self.page))
        sent = urlencode(parameters).encode()
        answer = self.forward(method, path, {**headers, "Content-Length": str(len(sent))}, sent)
        if call.action == "DeleteFleets" and b"No instances specified" in answer.body:
            # moto has the fleet deleted by now, and stumbles over there being nothing to terminate.
            return Answer(200, b"<DeleteFleetsResponse><requestId>0</requestId></DeleteFleetsResponse>")
        if call.action == "DescribeInstances" and self.machines:
            answer.body = _INSTANCE.sub(self._as_machine, answer.body)
        if put_tags and answer.status == 200:
            put_tags()
        if errors and answer.status == 200:
            end = b"</CreateFleetResponse>"
            answer.body = answer.body.replace(end, errors.encode() + end)
        return answer

    # -- what moto has not --------------------------------------------------------------------------------------------

    def _short(self, parameters: dict[str, Any]) -> str:
        """Take pools without capacity out of a request for spot instances; return the errors that tells of them."""
        if parameters.get("TargetCapacitySpecification.DefaultTargetCapacityType") != "spot":
            return ""
        zones = self._zones()
        prefix = "LaunchTemplateConfigs.1.Overrides."
        count = len([name for name in parameters if name.startswith(prefix) and name.endswith("SubnetId")])
        pools = [
            (parameters.pop(f"{prefix}{n}.InstanceType"), parameters.pop(f"{prefix}{n}.SubnetId"))
            for n in range(1, count + 1)
        ]
        wanted = int(parameters["TargetCapacitySpecification.TotalTargetCapacity"])
        there = wanted if self.capacity is None else min(wanted, self.capacity)
        good = [pool for pool in pools if zones[pool[1]] not in self.dry_zones] if there else []
        there = there if good else 0
        for n, (kind, subnet) in enumerate(good or pools, 1):
            parameters[f"{prefix}{n}.InstanceType"], parameters[f"{prefix}{n}.SubnetId"] = kind, subnet
        parameters["TargetCapacitySpecification.TotalTargetCapacity"] = str(there)
        if self.capacity is not None:
            self.capacity -= there
        dry = [pool for pool in pools if pool not in good] or (pools if there < wanted else [])
        items = "".join(
            f"<item><launchTemplateAndOverrides><overrides><instanceType>{kind}</instanceType><subnetId>{subnet}</subnetId>"
            "</overrides></launchTemplateAndOverrides><lifecycle>spot</lifecycle>"
            "<errorCode>InsufficientInstanceCapacity</errorCode><errorMessage>none</errorMessage></item>"
            for kind, subnet in dry
        )
        return f"<errorSet>{items}</errorSet>" if items else ""

    def past(self) -> Any:
        """Return a client that goes past this server: what the test looks at is not what it counts."""
        if self._client is None:
            self._client = boto3.client(
                "ec2",
                region_name=REGION,
                endpoint_url=f"http://127.0.0.1:{self.moto_port}",
                aws_access_key_id="AKIAEXAMPLE",
                aws_secret_access_key="not-a-secret",
            )
        return self._client

    def _zones(self) -> dict[str, str]:
        return {each["SubnetId"]: each["AvailabilityZone"] for each in self.past().describe_subnets()["Subnets"]}

    def _tag_snapshots(self, parameters: dict[str, Any]) -> Callable[[], None]:
        """Take the tags of snapshots out of a request, which moto refuses; return what puts them on."""
        n = next(n for n in (1, 2) if parameters[f"TagSpecification.{n}.ResourceType"] == "snapshot")
        own = {name: parameters.pop(name) for name in list(parameters) if name.startswith(f"TagSpecification.{n}.")}
        keys = sorted(name for name in own if name.endswith(".Key"))
        marks = [{"Key": own[name], "Value": own[f"{name[:-3]}Value"]} for name in keys]

        def put() -> None:
            images = self.past().describe_images(Owners=["self"])["Images"]
            devices = [each["Ebs"] for image in images for each in image["BlockDeviceMappings"] if "Ebs" in each]
            self.past().create_tags(Resources=[each["SnapshotId"] for each in devices], Tags=marks)

        return put

    def _as_machine(self, found: re.Match[bytes]) -> bytes:
        address, _ = self.machines[self._stands_for.setdefault(found[1].decode(), len(self._stands_for))]
        return re.sub(rb"<(ipA|privateIpA)ddress>[^<]*<", rb"<\1ddress>" + address.encode() + b"<", found[0])

    def machine_console(self, instance: str) -> str:
        """Return the console of an instance that a machine stands for."""
        return console_of(instance).replace(host_key(instance), self.machines[self._stands_for[instance]][1])

    def _DescribeFleets(self, call: Call) -> Answer | None:  # noqa: N802 - named as EC2 does
        if call.values("FleetId"):
            return None
        return Answer(200, b"<DescribeFleetsResponse><requestId>0</requestId><fleetSet/></DescribeFleetsResponse>")

    def _GetConsoleOutput(self, call: Call) -> Answer:  # noqa: N802
        text = self.consoles(call.parameters["InstanceId"])
        output = base64.b64encode(text.encode()).decode()
        body = (
            f"<GetConsoleOutputResponse><requestId>0</requestId><instanceId>{call.parameters['InstanceId']}</instanceId>"
            f"<timestamp>2026-11-25T01:00:00.000Z</timestamp><output>{output}</output></GetConsoleOutputResponse>"
        )
        return Answer(200, body.encode())

    def _DescribeSpotPriceHistory(self, call: Call) -> Answer:  # noqa: N802
        """Two changes for each type and zone, thirty to a page."""
        now = datetime.now(UTC)
        rows = []
        for at, (kind, zone) in enumerate((k, z) for k in call.values("InstanceType") for z in ("a", "b", "c")):
            for hours, factor in ((30, 2.0), (1, 1.0)):
                when = (now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
                rows.append(
                    f"<item><instanceType>{kind}</instanceType><productDescription>Linux/UNIX</productDescription>"
                    f"<spotPrice>{(CHEAPEST + at / 1000) * factor:.6f}</spotPrice><timestamp>{when}</timestamp>"
                    f"<availabilityZone>{REGION}{zone}</availabilityZone></item>"
                )
        begin = int(call.parameters.get("NextToken") or 0)
        end = begin + 30
        token = f"<nextToken>{end}</nextToken>" if end < len(rows) else "<nextToken></nextToken>"
        body = (
            f"<DescribeSpotPriceHistoryResponse><requestId>0</requestId><spotPriceHistorySet>{''.join(rows[begin:end])}"
            f"</spotPriceHistorySet>{token}</DescribeSpotPriceHistoryResponse>"
        )
        return Answer(200, body.encode())

    def _GetProducts(self, call: Call) -> Answer:  # noqa: N802
        fields = {each["Field"]: each["Value"] for each in call.parameters["Filters"]}
        dimension = {"unit": "Hrs", "pricePerUnit": {"USD": "0.0456000000"}}
        product = {
            "product": {"attributes": fields},
            "terms": {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": dimension}}}},
        }
        return Answer(200, json.dumps({"FormatVersion": "aws_v1", "PriceList": [json.dumps(product)]}).encode())

    def _GetParameter(self, call: Call) -> Answer:  # noqa: N802
        name = call.parameters["Name"]
        value = IMAGES[name.rsplit("/", 1)[1]]
        return Answer(200, json.dumps({"Parameter": {"Name": name, "Type": "String", "Value": value}}).encode())


def _call(headers: Mapping[str, str], body: bytes) -> Call:
    target = headers.get("X-Amz-Target")
    credential = headers.get("Authorization", "").partition("Credential=")[2].split("/")
    service = credential[3] if len(credential) > 3 else "?"
    if target:
        return Call(service, target.rsplit(".", 1)[1], json.loads(body or b"{}"))
    parameters = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return Call(service, parameters.get("Action", "?"), parameters)


def _handler(between: BetweenAws) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = between.answer("POST", self.path, dict(self.headers.items()), body)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/xml" if answer.body[:1] == b"<" else "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


__all__ = ["REGION", "Answer", "BetweenAws", "Call", "console_of", "host_key", "refusal"]
