"""The figures of a venue at work: every panel and every alert asks for something that there is."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fix_gateway.tools.chaos.venue import VenueProcess, free_ports
from tests.deploy.promql import Figures, find_faults
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, cancel, enter, next_message

ROOT = Path(__file__).parents[2]
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
SECTIONS = {
    "engine": "ENGINE", "gateway": "FIX", "market_data": "MARKET_DATA", "projector": "PROJECTOR"
}  # fmt: skip


@pytest.fixture
def venue(data_dir: Path) -> Iterator[VenueProcess]:
    """A demo venue with everything that has figures, each on a port that is known."""
    names = [f"WCX_{section}__METRICS_PORT" for section in SECTIONS.values()]
    ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    venue = VenueProcess(
        data_dir, WCX_MARKET_DATA__ENABLED="true", WCX_PROJECTOR__ENABLED="true", **ports
    ).start()
    # Nobody waits for those who only watch.
    venue.wait_for(lambda: venue.pid_of("publisher") and venue.pid_of("projector"))
    yield venue
    assert venue.stop() == 0, venue.log_text()


def scrape(venue: VenueProcess) -> Figures:
    figures = Figures()
    for job, section in SECTIONS.items():
        port = venue.environment[f"WCX_{section}__METRICS_PORT"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            figures.add(job, answer.read().decode())
    figures.add("admin_api", venue.get("/metrics")[1])
    return figures


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target


def test_every_query_finds_what_is_exported(venue: VenueProcess, connect: ConnectClient) -> None:
    """After a little of everything: orders, fills, cancels, refusals of engine and door."""
    maker, taker = connect(venue, "DEMO2"), connect(venue, "DEMO1")
    enter(maker, SELL, "0.5", "100.00")
    assert next_message(maker)[150] == "0"
    resting = enter(taker, BUY, "0.2", "99.00")
    assert next_message(taker)[150] == "0"
    cancel(taker, resting, BUY)
    assert next_message(taker)[150] == "4"
    enter(taker, BUY, "0.1", "100.00")
    assert {next_message(taker)[150], next_message(taker)[150]} == {"0", "F"}
    enter(taker, BUY, "90000", "100000.00")
    assert next_message(taker)[150] == "8"
    enter(taker, BUY, "0.1", "100.001")
    next_message(taker)
    # Of every sixteenth record the stages are measured.
    for _ in range(20):
        enter(taker, BUY, "0.1", "1.00")
        next_message(taker)

    assert venue.get("/healthz")[0] == 200  # A request that is counted.

    def all_faults() -> dict[str, list[str]]:
        figures = scrape(venue)
        asked = [(name, target["expr"], target["legendFormat"]) for name, target in panels()]
        asked += [(rule["alert"], rule["expr"], "") for rule in RULES]
        found = {f"{name}: {expr}": find_faults(expr, figures, show) for name, expr, show in asked}
        return {name: faults for name, faults in found.items() if faults}

    assert all_faults() == {}
    figures = scrape(venue)
    counts = {labels["le"] for labels in figures.find("fixgw_order_stage_seconds_bucket", [])}
    assert "+Inf" in counts


def test_every_alert_has_a_section_in_the_runbook() -> None:
    """Whoever is woken finds what it means and what to do, by its name."""
    text = (ROOT / "docs/operations.md").read_text()
    sections = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    names = [rule["alert"] for rule in RULES]
    assert sorted(set(names)) == sorted(names)
    assert [name for name in names if name not in sections] == []
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"page", "ticket"}
