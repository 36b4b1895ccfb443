"""The figures of a venue at work: every panel and every alert asks for something that there is."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import Settings
from fix_gateway.tools.chaos.venue import free_ports
from tests.deploy.promql import Figures, find_faults
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, cancel, enter, next_message
from tests.integration.venue_process import VenueProcess

ROOT = Path(__file__).parents[2]
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PORTS = {
    "engine": "WCX_ENGINE__METRICS_PORT",
    "gateway": "WCX_FIX__METRICS_PORT",
    "gateway_market_data": "WCX_MARKET_DATA__FIX_METRICS_PORT",
    "market_data": "WCX_MARKET_DATA__METRICS_PORT",
    "projector": "WCX_PROJECTOR__METRICS_PORT",
}
# Jobs that are down where they are switched off, and how the gateway says so.
SWITCHES = {
    "market_data": "fixgw_market_data_enabled",
    "gateway_market_data": "fixgw_market_data_fix_enabled",
}


@pytest.fixture
def venue(data_dir: Path) -> Iterator[VenueProcess]:
    """A demo venue with everything that has figures, each on a port that is known."""
    ports = dict(zip(PORTS.values(), map(str, free_ports(len(PORTS))), strict=True))
    venue = VenueProcess(
        data_dir,
        WCX_MARKET_DATA__ENABLED="true",
        WCX_MARKET_DATA__FIX_ENABLED="true",
        WCX_PROJECTOR__ENABLED="true",
        **ports,
    ).start()
    # Nobody waits for those who only watch.
    watchers = ("publisher", "projector", "gateway-market-data")
    venue.wait_for(lambda: all(venue.pid_of(name) for name in watchers))
    yield venue
    assert venue.stop() == 0, venue.log_text()


def read_figures(venue: VenueProcess, job: str) -> str:
    url = f"http://127.0.0.1:{venue.environment[PORTS[job]]}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def scrape(venue: VenueProcess) -> Figures:
    figures = Figures()
    for job in PORTS:
        figures.add(job, read_figures(venue, job))
    figures.add("admin_api", venue.get("/metrics")[1])
    return figures


def switches(venue: VenueProcess) -> dict[str, str]:
    """What the gateway says of the parts that may be switched off."""
    lines = [line.split() for line in read_figures(venue, "gateway").splitlines()]
    return {name: value for name, value, *_ in lines if name in SWITCHES.values()}


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
    for name in SWITCHES.values():
        gateways = [labels["job"] for labels in figures.find(name, [])]
        assert gateways == ["gateway", "gateway_market_data"]
    assert switches(venue) == dict.fromkeys(SWITCHES.values(), "1.0")
    counts = {labels["le"] for labels in figures.find("fixgw_order_stage_seconds_bucket", [])}
    assert "+Inf" in counts


@pytest.mark.parametrize("job", SWITCHES)
def test_nobody_is_told_of_what_is_switched_off(job: str) -> None:
    """Whatever fires because a job is down fires only where the gateways say that it should run."""
    condition = f' and on () max({SWITCHES[job]}{{job="gateway"}}) == 1'
    told = [rule["expr"] for rule in RULES if f'up{{job="{job}"}}' in rule["expr"]]
    assert len(told) == 1
    for expression in told:
        alternatives, switch, rest = expression.partition(condition)
        assert (switch, rest) == (condition, "")
        # `and` binds tighter than `or`, which so has to stand in brackets.
        count = 1
        while count:
            alternatives, count = re.subn(r"\([^()]*\)", "", alternatives)
        assert " or " not in alternatives


def test_gateway_says_what_is_switched_off(data_dir: Path) -> None:
    """Market data of neither kind."""
    port = str(free_ports(1)[0])
    venue = VenueProcess(data_dir, WCX_FIX__METRICS_PORT=port).start()
    try:
        assert switches(venue) == dict.fromkeys(SWITCHES.values(), "0.0")
    finally:
        assert venue.stop() == 0, venue.log_text()


def test_everything_that_has_figures_is_asked_for_them() -> None:
    """Each kind of process is a job of its own, on the port that it has unless that is changed."""
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert {
        job["job_name"]: job["static_configs"][0]["targets"] for job in scraped["scrape_configs"]
    } == {
        **{name: [f"127.0.0.1:{default_of(variable)}"] for name, variable in PORTS.items()},
        "admin_api": [f"127.0.0.1:{default_of('WCX_REST__PORT')}"],
    }


def default_of(variable: str) -> object:
    section, _, name = variable.removeprefix("WCX_").lower().partition("__")
    return getattr(Settings.model_fields[section].default, name)


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
