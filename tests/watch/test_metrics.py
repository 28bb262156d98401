"""`--http` of both daemons: metrics that Prometheus' own parser reads, and a Grafana dashboard that names only such."""

from __future__ import annotations

import json
import re
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from whoismesh.exposition import Family, text

GRAFANA = Path(__file__).parent.parent.parent / "examples" / "grafana-dashboard.json"
#: Values of labels may be of closed sets alone.
LABELS = {"registry", "kind", "status", "version", "daemon"}


def url_of(folder, name):
    """Return where a daemon said that it serves."""
    lines = (folder / f"{name}.log").read_text().splitlines()
    return next(json.loads(line)["url"] for line in lines if '"http_ready"' in line)


def test_both_daemons_tell_metrics_and_health_and_the_grafana_dashboard_names_only_those(in_field):
    async def watch(field):
        coordinator = await field.coordinator("tcp://127.0.0.1:0", "--http", "127.0.0.1:0")
        await field._start("worker", "whoismesh.worker", "--coord", coordinator.endpoint, "--http", "127.0.0.1:0")
        found = {}
        async with aiohttp.ClientSession() as client:
            while True:
                for name in ("coord", "worker"):
                    async with client.get(url_of(field.folder, name) + "/metrics") as answer:
                        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
                        found[name] = {each.name: each for each in text_string_to_metric_families(await answer.text())}
                networks = {
                    each.labels["registry"]: each.value for each in found["coord"]["whoismesh_networks"].samples
                }
                lookups = {
                    each.labels["registry"]: each.value for each in found["worker"]["whoismesh_worker_lookups"].samples
                }
                if networks["ripencc"] > 3 and lookups["ripencc"] > 3:
                    break
            for name in ("coord", "worker"):
                async with client.get(url_of(field.folder, name) + "/healthz") as answer:
                    assert (answer.status, await answer.text()) == (200, "ok\n")
            await field.end(coordinator)
        samples = [each for families in found.values() for family in families.values() for each in family.samples]
        assert {label for each in samples for label in each.labels} == LABELS
        for families in found.values():
            for family in families.values():
                assert family.name.startswith("whoismesh_")
                assert family.documentation.endswith(".")
                if family.type == "counter":
                    assert all(each.name.endswith("_total") for each in family.samples)
        names = {each.name for each in samples} | {each for families in found.values() for each in families}
        dashboard = json.loads(GRAFANA.read_text())
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        used = {name for query in queries for name in re.findall(r"whoismesh_\w+", query)}
        assert len(used) > 8
        assert used <= names
        grouped = {label for query in queries for label in re.findall(r"by \((\w+)\)", query)}
        assert grouped <= LABELS

    in_field(watch, latency_s=0.2)


def test_large_counts_and_fractions_are_written_as_numbers():
    family = Family("whoismesh_x", "gauge", "X.", ("registry",), {("arin",): 2**90, ("apnic",): 0.5, ("lacnic",): 7})
    (read,) = text_string_to_metric_families(text([family]))
    assert [each.value for each in read.samples] == [float(2**90), 0.5, 7.0]
