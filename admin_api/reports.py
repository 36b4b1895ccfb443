"""What was reported of an account, or traded, read from the journal files on worker threads."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar

import structlog

from admin_api.errors import ApiError, unavailable
from admin_api.paging import encode_cursor
from admin_api.schemas.pages import Page
from admin_api.schemas.reports import ExecutionReportView
from engine.events import ExecutionEvent
from engine.reference import Reference
from engine.report import Report, make_report
from engine.runtime.feed import Position, find_trade, read_account_events
from engine.runtime.journal import JournalDamagedError, RecordsGoneError, read_records
from engine.trade_commands import BookedTrade
from engine.units import AccountId, Seq, TradeId
from store.projector.order_rows import describe_report
from store.projector.times import format_time

T = TypeVar("T")

READS_AT_ONCE: Final = 2
READS_WAITING_MAX: Final = 32
# Some tenths of a second of work. A page that ends for it says that there may be more.
RECORDS_PER_PAGE_MAX: Final = 50_000

log = structlog.get_logger("admin")


class ReaderBusyError(Exception):
    """So many pages are waiting to be read that one more must come back later."""


@contextmanager
def reading_answers() -> Iterator[None]:
    """Let what goes wrong while the journal is read leave as the answer to who has asked."""
    try:
        yield
    except ReaderBusyError:
        raise unavailable("too many pages are being read: try again", code="busy") from None
    except RecordsGoneError as error:
        raise ApiError(HTTPStatus.GONE, str(error)) from None
    except JournalDamagedError as error:
        log.exception("journal_not_readable")
        raise ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from None


class ReportReader:
    """Reads pages of reports in two worker threads. Belongs to one event loop."""

    def __init__(self, journal_dir: Path) -> None:
        self._journal_dir = journal_dir
        self._workers = ThreadPoolExecutor(READS_AT_ONCE, "journal")
        self._waiting_count = 0

    async def read(
        self,
        account_id: AccountId,
        after: Position,
        reference: Reference,
        *,
        until_seq: Seq,
        limit: int,
    ) -> Page[ExecutionReportView]:
        """Return what was reported of the account's orders after `after`, at most `limit` reports.

        `until_seq` must be durable. Raises ReaderBusyError when too many wait already,
        RecordsGoneError for what is not kept any more, JournalDamagedError.
        """

        def read() -> Page[ExecutionReportView]:
            page = read_account_events(
                self._journal_dir,
                account_id,
                after,
                until_seq=until_seq,
                events_max=limit,
                records_max=RECORDS_PER_PAGE_MAX,
            )
            return Page(
                items=[
                    _view(
                        make_report(item.event, item.position.exec_id, reference),
                        item.happened_at_ns,
                    )
                    for item in page.events
                ],
                next_cursor=encode_cursor(*page.reached) if page.has_more else None,
            )

        return await self._run(read)

    async def find_trade(self, seq: Seq, trade_id: TradeId) -> BookedTrade | None:
        """Return what the record `seq`, which must be durable, tells of a trade; None if nothing.

        Raises as `read` does.
        """

        def read() -> BookedTrade | None:
            (record,) = read_records(self._journal_dir, after_seq=seq - 1, until_seq=seq)
            return find_trade(record, trade_id)

        return await self._run(read)

    async def _run(self, read: Callable[[], T]) -> T:
        if self._waiting_count >= READS_WAITING_MAX:
            raise ReaderBusyError
        self._waiting_count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, read)
        finally:
            self._waiting_count -= 1

    def close(self) -> None:
        """Let the worker threads end."""
        self._workers.shutdown(wait=False, cancel_futures=True)


def _view(report: Report, happened_at_ns: int) -> ExecutionReportView:
    return ExecutionReportView(**describe_report(report), transact_time=format_time(happened_at_ns))


def view_report(
    event: ExecutionEvent, exec_id: str, reference: Reference, happened_at_ns: int
) -> ExecutionReportView:
    """Return the report of an event as the endpoints show it."""
    return _view(make_report(event, exec_id, reference), happened_at_ns)
