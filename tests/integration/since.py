"""What a venue has done since a moment, whoever has used it before."""

from collections.abc import Iterator

from engine.commands import Command
from engine.events import Event, OrderAccepted
from engine.runtime.codec import Record
from engine.runtime.journal import inspect_tail, read_records
from tests.integration.venue_process import VenueProcess


class Since:
    """The moment at which it is made, and what has been written and logged after it."""

    def __init__(self, venue: VenueProcess) -> None:
        self._venue = venue
        self._directory = venue.data_dir / "journal"
        self._seq = inspect_tail(self._directory).last_seq
        self._line = len(venue.logged)

    def records(self) -> Iterator[Record]:
        """Yield the journal's records."""
        last = inspect_tail(self._directory).last_seq
        return read_records(self._directory, after_seq=self._seq, until_seq=last)

    def commands(self) -> list[Command]:
        """Return what has been decided."""
        return [record.command() for record in self.records()]

    def events(self) -> list[Event]:
        """Return what has come of it."""
        return [event for record in self.records() for event in record.events()]

    def accepted(self) -> list[str]:
        """Return the ClOrdIDs of the orders that were entered."""
        return [
            event.order.cl_ord_id for event in self.events() if isinstance(event, OrderAccepted)
        ]

    def wait_for_orders(self, count: int) -> None:
        """Wait until so many orders have been entered."""
        self._venue.wait_for(lambda: len(self.accepted()) == count, 10)

    def count_logged(self, text: str) -> int:
        """Return in how many log lines the text stands."""
        return sum(text in line for line in self._venue.logged[self._line :])
