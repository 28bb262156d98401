"""What instances cost: spot by EC2's history; on demand by the Pricing API, or a list where that does not tell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from whoismesh.errors import UsageError, WhoismeshError
from whoismesh.fleet.ec2.aws import Aws
from whoismesh.fleet.ec2.plan import OnDemand, Price

#: USD an hour on demand in us-east-1 (2025), for where the Pricing API does not answer or may not be asked.
LIST_PRICES = {
    "t3.small": 0.0208,
    "t3.medium": 0.0416,
    "t3.large": 0.0832,
    "t4g.small": 0.0168,
    "t4g.medium": 0.0336,
    "t4g.large": 0.0672,
    "m6i.large": 0.096,
    "m6g.large": 0.077,
}


def spot_history(aws: Aws, types: Iterable[str], now: datetime, days: float) -> list[Price]:
    """Return the changes of spot prices in all zones of the region. The price at the beginning is one of them."""
    told = aws.pages(
        "describe_spot_price_history",
        "SpotPriceHistory",
        InstanceTypes=list(types),
        ProductDescriptions=["Linux/UNIX"],
        StartTime=now - timedelta(days=days),
        EndTime=now,
    )
    return [
        Price(each["InstanceType"], each["AvailabilityZone"], float(each["SpotPrice"]), each["Timestamp"])
        for each in told
    ]


def on_demand(aws: Aws, kind: str, given: float | None = None) -> OnDemand:
    """Return what a type costs on demand. Raises UsageError if neither API nor list tells and none was given."""
    if given is not None:
        return OnDemand(kind, given, "as given")
    wanted = {
        "instanceType": kind,
        "regionCode": aws.region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    try:
        told = list(aws.pages("get_products", "PriceList", service="pricing", ServiceCode="AmazonEC2", Filters=filters))
        found = [usd for each in told for usd in _dollars(json.loads(each))]
        why = "the Pricing API does not have it"
    except WhoismeshError as error:
        found, why = [], f"the Pricing API did not answer: {error}"
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        found, why = [], f"the Pricing API's answer is not understood: {error}"
    if found:
        return OnDemand(kind, max(found), "Pricing API")
    if kind not in LIST_PRICES:
        raise UsageError(f"no on-demand price of {kind} ({why}): give --coordinator-price, in USD an hour")
    return OnDemand(kind, LIST_PRICES[kind], f"list price of us-east-1, 2025; {why}"[:120])


def _dollars(product: Mapping[str, Any]) -> Iterator[float]:
    """Yield the prices an hour of a product, as the Pricing API tells them."""
    for term in product["terms"]["OnDemand"].values() if isinstance(product, dict) else ():
        for dimension in term["priceDimensions"].values():
            if dimension.get("unit") == "Hrs" and float(dimension["pricePerUnit"].get("USD", 0)) > 0:
                yield float(dimension["pricePerUnit"]["USD"])
