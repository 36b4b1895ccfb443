"""`make bench`: prints the figures of this machine, each beside its baseline in the same run."""

import statistics
from collections.abc import Callable

from benchmarks.engine_alone import measure_journal, measure_memory, random_flow
from benchmarks.round_trip import Client, naive_acceptor, venue

COMMANDS = 100_000
ENGINE_RUNS = 3
ROUNDS = 5
PINGS = 400
FLOOD = 4000
US_PER_S = 1_000_000


def main() -> None:
    """Measure and print."""
    print_engine()
    print_round_trips()


def print_engine() -> None:
    """Print commands per second of the exchange, best of three runs."""
    flow = random_flow(COMMANDS)
    print(f"engine, {COMMANDS} orders and cancels, best of {ENGINE_RUNS} (commands/s)")
    rows: dict[str, Callable[[], float]] = {
        "with risk, in memory": lambda: measure_memory(flow),
        "and journal, flushed by the system": lambda: measure_journal(flow, "os"),
        "and journal, fdatasync per 100": lambda: measure_journal(flow, "fsync"),
    }
    for name, measure in rows.items():
        print(f"  {name:<36}{max(measure() for _ in range(ENGINE_RUNS)):>12,.0f}")


def print_round_trips() -> None:
    """Print latency and rate over FIX, venue and baseline measured in turn."""
    pings: dict[str, list[float]] = {}
    floods: dict[str, list[float]] = {}
    with naive_acceptor() as baseline, venue() as whole:
        clients = {each.name: Client(each) for each in (baseline, whole)}
        for client in clients.values():
            client.ping(PINGS)  # Warm up.
        for _ in range(ROUNDS):
            for name, client in clients.items():
                pings.setdefault(name, []).extend(client.ping(PINGS))
                floods.setdefault(name, []).append(client.flood(FLOOD))
        for client in clients.values():
            client.close()
    print(f"over FIX, one session, {ROUNDS} rounds in turn; the venue journals with fdatasync")
    print(f"  {'':<18}{'p50 us':>10}{'p99 us':>10}{'max us':>10}{'orders/s, 50 in flight':>26}")
    for name, taken in pings.items():
        taken.sort()
        p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
        print(
            f"  {name:<18}{p50 * US_PER_S:>10.0f}{p99 * US_PER_S:>10.0f}"
            f"{taken[-1] * US_PER_S:>10.0f}{statistics.median(floods[name]):>26,.0f}"
        )


if __name__ == "__main__":
    main()
