"""boto3, and all that is to be known about it: nothing else imports it.

- Clients, not resources: clients may be shared by threads. They are made once, in one thread; sessions are not shared.
- Answers come in pages, also where the first one seems to be all: `pages` always uses the paginator.
- Retries are botocore's (mode standard: throttling and broken connections, with growing waits); its defaults of three
  attempts and a minute of silence suit neither a throttled account nor somebody who waits.
- botocore makes up a client token where none is given, a new one for each call: what must not happen twice gets ours.
- AWS_ENDPOINT_URL, AWS_PROFILE and the files of `aws configure` are botocore's business and work as ever; of the two
  variables that name a region it knows AWS_DEFAULT_REGION alone, AWS's own command line AWS_REGION first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from whoismesh.errors import ConfigError, TryAgainError, UnavailableError, WhoismeshError

#: A region answers within tens of milliseconds, a create_fleet of many hosts within half a minute.
CONNECT_S, READ_S = 5, 60
#: The waits between attempts grow from one second to twenty: eight attempts outlast a throttled minute.
ATTEMPTS = 8
#: The Pricing API is served from a few regions only.
PRICING_REGION = "us-east-1"

#: What AWS says of credentials that are no longer, or not yet, any good.
_STALE = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"}
_FORBIDDEN = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
_BUSY = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "InternalError",
    "InternalFailure",
    "ServiceUnavailable",
    "Unavailable",
    "InternalServerError",
}


class AwsError(WhoismeshError):
    """AWS refused a call. `code` is the name that its API has for the reason."""

    def __init__(self, code: str, message: str, exit_code: int = WhoismeshError.exit_code) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code


class Aws:
    """The clients of one account and region. Safe to share between threads."""

    def __init__(self, region: str | None = None, attempts: int = ATTEMPTS) -> None:
        """Find the configuration. Raises ConfigError where there is no region, UnavailableError without boto3."""
        try:
            import boto3
            import botocore.config
        except ImportError:
            raise UnavailableError("boto3 is not installed: pip install 'whoismesh[fleet]'") from None
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._config = botocore.config.Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"mode": "standard", "total_max_attempts": attempts},
            user_agent_extra="whoismesh",
        )
        try:
            self._session = boto3.session.Session(region_name=region or os.environ.get("AWS_REGION") or None)
        except Exception as error:
            raise _explained("configuration", error) from None
        if not self._session.region_name:
            raise ConfigError("no AWS region: set AWS_REGION, or run `aws configure`")
        self.region: str = self._session.region_name

    def call(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        """Call an operation, by its name in snake case, and return its answer. Raises AwsError and the others."""
        client = self._client(service)
        try:
            answer: dict[str, Any] = getattr(client, operation)(**request)
        except Exception as error:
            raise _explained(operation, error) from None
        return answer

    def ec2(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call an operation of EC2."""
        return self.call("ec2", operation, **request)

    def pages(self, operation: str, key: str, service: str = "ec2", **request: Any) -> Iterator[Any]:
        """Yield what all pages of an answer have under a key."""
        client = self._client(service)
        try:
            for page in client.get_paginator(operation).paginate(**request):
                yield from page.get(key) or ()
        except Exception as error:
            raise _explained(operation, error) from None

    def wait(self, waiter: str, patience_s: float, poll_s: float, **request: Any) -> None:
        """Wait with one of EC2's waiters. Raises TryAgainError when its time is over, AwsError if it never can be."""
        config = {"Delay": max(1, round(poll_s)), "MaxAttempts": max(1, round(patience_s / max(1, poll_s)))}
        client = self._client("ec2")
        try:
            client.get_waiter(waiter).wait(WaiterConfig=config, **request)
        except Exception as error:
            raise _explained(waiter, error) from None

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                region = PRICING_REGION if service == "pricing" else self.region
                try:
                    self._clients[service] = self._session.client(service, region_name=region, config=self._config)
                except Exception as error:
                    raise _explained(service, error) from None
            return self._clients[service]


def _explained(operation: str, error: Exception) -> Exception:
    """Return what to raise for what boto3 raised: one line that says what to do. A bug comes back as it is."""
    import botocore.exceptions as boto

    if isinstance(error, boto.ClientError):
        return _refused(operation, error.response.get("Error") or {})
    match error:
        case boto.NoCredentialsError() | boto.PartialCredentialsError():
            return ConfigError("no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE")
        case boto.NoRegionError() | boto.ProfileNotFound() | boto.ConfigParseError():
            return ConfigError(f"AWS configuration: {error}; set AWS_REGION and AWS_PROFILE, or run `aws configure`")
        case boto.SSOTokenLoadError() | boto.UnauthorizedSSOTokenError() | boto.TokenRetrievalError():
            return TryAgainError("the AWS login has ended: run `aws sso login`, then the same command again")
        case boto.HTTPClientError() | boto.ConnectionError():  # no endpoint, no connection, no answer in time
            return UnavailableError(
                f"AWS does not answer ({operation}): {_one_line(error)}; check the network, the region and "
                "AWS_ENDPOINT_URL, then run the same command again"
            )
        case boto.WaiterError() if "Max attempts" in str(error):
            return TryAgainError(f"{operation}: it took too long; run the same command again to go on waiting")
        case boto.WaiterError():
            return AwsError("WaiterError", f"{operation}: {_one_line(error)}")
        case boto.BotoCoreError():
            return AwsError(type(error).__name__, f"{operation}: {_one_line(error)}")
        case _:
            return error


def _refused(operation: str, told: Mapping[str, Any]) -> AwsError:
    code, text = str(told.get("Code") or "?"), _one_line(told.get("Message") or "no reason given")
    name = "".join(each.capitalize() for each in operation.split("_"))
    if code in _STALE:
        todo = "the AWS credentials have expired: log in again (`aws sso login`), then run the same command again"
        return AwsError(code, f"{name}: {todo} ({text})", TryAgainError.exit_code)
    if code in _UNKNOWN:
        return AwsError(code, f"{name}: AWS does not accept the credentials: {text}", ConfigError.exit_code)
    if code in _FORBIDDEN:
        todo = "this account may not; docs/fleet.md has the policy that it needs"
        return AwsError(code, f"{name}: {todo}: {text}", ConfigError.exit_code)
    if code in _BUSY or code == "IdempotentParameterMismatch":
        todo = "wait a minute, then run the same command again"
        return AwsError(code, f"{name}: {code} after all attempts: {text}; {todo}", TryAgainError.exit_code)
    return AwsError(code, f"{name}: {code}: {text}")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:400]
