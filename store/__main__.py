"""The projector's process: `python -m store` follows the engine, `rebuild` starts from the journal.

The composition root of what works for the store.
"""

import argparse
import asyncio
import os
import sys

import structlog
import uvloop

from config.lifecycle import notify_ready, serve_metrics, stop_on_signals
from config.logs import set_up_logs
from config.settings import Settings
from engine.runtime import faults
from engine.runtime.journal import JournalDamagedError
from engine.runtime.record_source import RecordSource
from store.postgres import StoreError
from store.projector.metrics import ProjectorMetrics
from store.projector.projector import Projector
from store.projector.rebuild import RebuildRunsError, rebuild

NICENESS = 5  # The engine and the gateways go first.

log = structlog.get_logger("projector")


def main() -> int:
    """Run the verb that the command line names. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m store", description=__doc__)
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("project", help="follow the engine (the default)")
    verbs.add_parser("rebuild", help="build the read model anew from the journal, beside the old")
    verb = parser.parse_args().verb
    settings = Settings()
    set_up_logs("projector", level=settings.log.level, log_format=settings.log.format)
    if settings.database_url is None:
        log.critical("no_database", error="WCX_DATABASE_URL is not set")
        return 1
    os.nice(NICENESS)
    url = settings.database_url.get_secret_value()
    return uvloop.run(rebuild_once(settings, url) if verb == "rebuild" else run(settings, url))


async def run(settings: Settings, url: str) -> int:
    """Keep the read model true until SIGTERM or SIGINT."""
    stopped = stop_on_signals()
    faults.arm(settings.fault_dir)
    source = RecordSource(settings.engine_socket, settings.journal_dir, "projector")
    metrics = ProjectorMetrics(lambda: source.durable_seq)
    projector = Projector(url, source, metrics, settings.projector_position_file)
    endpoint = await serve_metrics(metrics.registry, settings.projector.metrics_port)
    tasks = [asyncio.ensure_future(source.run()), asyncio.ensure_future(projector.run())]
    # Ready to watch: how far it has come is a figure, and no reason for anybody to wait.
    notify_ready()
    stopping = asyncio.ensure_future(stopped.wait())
    done, _ = await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, stopping):
        task.cancel()
    await asyncio.gather(*tasks, stopping, return_exceptions=True)
    endpoint.should_exit = True
    await endpoint.task
    for task in done - {stopping}:
        task.result()  # It never ends by itself: this raises.
    log.info("projector_stopped")
    return 0


async def rebuild_once(settings: Settings, url: str) -> int:
    """Build the read model anew beside the one in use, and print how far it goes."""
    try:
        position = await rebuild(
            url, settings.journal_dir, say=lambda seq: print(f"record {seq}", flush=True)
        )
    except RebuildRunsError:
        print("the read model is being built anew already", file=sys.stderr)
        return 1
    except (StoreError, JournalDamagedError) as error:
        print(f"the old read model stays: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(f"read model built anew up to record {position.seq}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
