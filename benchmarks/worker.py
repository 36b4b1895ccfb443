"""One run of one engine in a process of its own: `python -m benchmarks.worker ENGINE FILE`.

Prints one line of JSON. Runs in the environment of the engine: this module imports nothing but the
standard library and, by name, the engine's adapter.
"""

import gc
import hashlib
import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from benchmarks.books.book import Book
from benchmarks.messages import MODIFY, NEW, Message, read_workload

ROOT = Path(__file__).parent.parent
OURS = tuple(f"{ROOT / name}{os.sep}" for name in ("engine", "risk"))
ADAPTERS = {
    "our book": ("our_book", "OurBook"),
    "liquibook": ("peer_liquibook", "LiquibookBook"),
    "akhil4n-orderbook": ("peer_akhil4n", "Akhil4nBook"),
    "pyorderbook": ("peer_pyorderbook", "PyOrderBook"),
    "lightmatchingengine": ("peer_lightmatchingengine", "LightBook"),
}


def make_book(engine: str) -> Book:
    """Return a new book of one of `ADAPTERS`, or of "our exchange", bare, with risk or with all.

    Whether our code is compiled is a matter of the interpreter that runs this.
    """
    engine = engine.removesuffix(", interpreted")
    book: Book
    if engine.startswith("our exchange"):
        module = importlib.import_module("benchmarks.books.our_exchange")
        if engine == "our exchange":
            gate = module.OpenGate()
        else:
            gate = importlib.import_module("risk.pre_trade").PreTradeGate()
        book = module.OurExchange(gate, has_all_controls=engine == "our exchange, all controls")
    else:
        module_name, class_name = ADAPTERS[engine]
        book = getattr(importlib.import_module(f"benchmarks.books.{module_name}"), class_name)()
    return book


def replay(book: Book, messages: Sequence[Message]) -> int:
    """Send the messages to the book. Returns how many were refused."""
    enter, cancel = book.enter, book.cancel
    refused_count = 0
    for kind, order_id, orig_id, is_buy, qty, price, is_ioc in messages:
        if kind == NEW:
            enter(order_id, is_buy, qty, price, is_ioc)
        elif not cancel(orig_id):
            refused_count += 1
        elif kind == MODIFY:
            enter(order_id, is_buy, qty, price, is_ioc)
    return refused_count


def count_calls(book: Book, messages: Sequence[Message]) -> int:
    """Send the messages and return how many calls our code made for them, to itself and others.

    A number that depends on the messages and the book alone, not on the machine.
    """
    call_count = 0

    def note(frame: FrameType, event: str, arg: object) -> None:
        nonlocal call_count
        if event == "call":
            caller = frame.f_back
            call_count += caller is not None and caller.f_code.co_filename.startswith(OURS)
        elif event == "c_call":
            call_count += frame.f_code.co_filename.startswith(OURS)

    sys.setprofile(note)
    replay(book, messages)
    sys.setprofile(None)
    return call_count


def memory_peak_kib() -> int:
    """Return the most memory that this process has had. (`getrusage` counts its parent's too.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:", 1)[1].split(maxsplit=1)[0])


def main() -> None:
    """Run and print."""
    engine, path = sys.argv[1:]
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cpus)})
    workload = read_workload(Path(path))
    prefill = workload.messages[: workload.prefill_count]
    counted_from = len(workload.messages) - workload.counted_count
    timed = workload.messages[workload.prefill_count : counted_from]
    book = make_book(engine)
    book.prepare(workload.messages)
    # As the engine's process does it: what has grown stays out of the collector's sight.
    gc.collect()
    gc.freeze()
    gc.disable()
    replay(book, prefill)
    cpu_ns, wall_ns = time.process_time_ns(), time.perf_counter_ns()
    refused_count = replay(book, timed)
    cpu_ns, wall_ns = time.process_time_ns() - cpu_ns, time.perf_counter_ns() - wall_ns
    call_count = count_calls(book, workload.messages[counted_from:])
    fills = book.fills()
    digest = hashlib.sha256(repr(fills).encode()).hexdigest()
    print(
        json.dumps(
            {
                "cpu_ns": cpu_ns,
                "wall_ns": wall_ns,
                "message_count": len(timed),
                "refused_count": refused_count,
                "call_count": call_count,
                "counted_count": workload.counted_count,
                "fill_count": len(fills),
                "fills_sha256": digest,
                "resting_count": book.resting_count(),
                "memory_peak_kib": memory_peak_kib(),
            }
        )
    )


if __name__ == "__main__":
    main()
