"""Many sessions that are logged on and say so now and then, and one that is busy among them.

Two venues run at the same time, one of them with the crowd. The busy session's orders go to the one
and the other in turn, at a fixed rate.
"""

import asyncio
import time
from contextlib import ExitStack
from typing import Final, TypedDict

from benchmarks.acceptors import TAKER, Counterparty, engine_socket, running_venue
from benchmarks.full_path import percentile
from benchmarks.load import HEART_BT_INT_S, Client, Crowd
from benchmarks.processes import Costs, cpu_s, difference, memory_mib
from fix_gateway.supervisor.demo import DemoSession, seed_database, seed_engine

RATE: Final = 500
LOGON_BATCH: Final = 10
SETTLE_S: Final = 3.0
REFUSED_WAIT_S: Final = 1.0
LOGON_TRIES: Final = 60
CROWDED, IDLE = "crowded", "idle"


class Figures(TypedDict):
    """What a crowd costs: memory with it and without, parts of one core, latency in seconds."""

    session_count: int
    memory_mib: Costs
    memory_idle_mib: Costs
    cpu_share: Costs
    cpu_idle_share: Costs
    p50_us: dict[str, float]
    p99_us: dict[str, float]


def measure_many_sessions(count: int, idle_s: float, rounds: int, open_loop_s: float) -> Figures:
    """Return what `count` sessions cost that are logged on and heartbeating."""
    with ExitStack() as stack:
        crowded = stack.enter_context(running_venue())
        idle = stack.enter_context(running_venue())
        clients = _log_on(crowded, count)
        crowd = Crowd(clients, HEART_BT_INT_S)
        takers = {
            CROWDED: Client(crowded.port, TAKER, answers_twice=True),
            IDLE: Client(idle.port, TAKER, answers_twice=True),
        }
        for taker in takers.values():
            taker.await_logon()
        time.sleep(SETTLE_S)
        shares = _share_of_a_core((crowded, idle), crowd, idle_s)
        latencies: dict[str, list[float]] = {CROWDED: [], IDLE: []}
        for number in range(rounds + 1):
            for name, taker in takers.items():
                orders = taker.resting_orders(int(RATE * open_loop_s))
                taken = taker.open_loop(orders, RATE, crowd)
                if number:  # The first round warms up.
                    latencies[name] += taken
        return Figures(
            session_count=count,
            memory_mib=memory_mib(crowded.parts),
            memory_idle_mib=memory_mib(idle.parts),
            cpu_share=shares[0],
            cpu_idle_share=shares[1],
            p50_us={name: percentile(taken, 0.5) for name, taken in latencies.items()},
            p99_us={name: percentile(taken, 0.99) for name, taken in latencies.items()},
        )


def _log_on(counterparty: Counterparty, count: int) -> list[Client]:
    """Set up so many sessions, each with a firm and an account of its own, and log them on."""
    venue = counterparty.venue
    assert venue is not None
    names = [f"S{number:04}" for number in range(count)]
    url = venue.environment_of("gateway")["WCX_DATABASE_URL"]
    accounts = asyncio.run(seed_database(url, [DemoSession(name, name) for name in names]))
    asyncio.run(seed_engine(engine_socket(venue), accounts))
    _wait_until_served(counterparty.port, names[-1])
    clients: list[Client] = []
    for start in range(0, count, LOGON_BATCH):
        batch = [
            Client(counterparty.port, name, answers_twice=True)
            for name in names[start : start + LOGON_BATCH]
        ]
        for client in batch:
            client.await_logon()
        clients += batch
    return clients


def _wait_until_served(port: int, name: str) -> None:
    """Return once the gateway has the session: it looks into the database every few seconds."""
    for attempt in range(1, LOGON_TRIES + 1):
        client = Client(port, name, answers_twice=True)
        try:
            client.await_logon()
        except ConnectionError:
            client.socket.close()
            if attempt == LOGON_TRIES:
                raise
            time.sleep(REFUSED_WAIT_S)
        else:
            client.close()
            return


def _share_of_a_core(
    venues: tuple[Counterparty, Counterparty], crowd: Crowd, duration_s: float
) -> list[Costs]:
    before = [cpu_s(each.parts) for each in venues]
    end_s = time.perf_counter() + duration_s
    while (now_s := time.perf_counter()) < end_s:
        crowd.tend(now_s)
        time.sleep(0.01)
    return [
        {name: spent / duration_s for name, spent in difference(cpu_s(each.parts), start).items()}
        for each, start in zip(venues, before, strict=True)
    ]
