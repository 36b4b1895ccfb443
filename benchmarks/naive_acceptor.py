"""The baseline: a QuickFIX acceptor as every tutorial writes it.

`start()`, `getField`, `setField`, a FileStore; it answers each order at once with one report. No
matching, no risk, no journal. Run as `python -m benchmarks.naive_acceptor PORT DIRECTORY NAME...`,
the names of its clients.
"""

import sys
from typing import Any

import quickfix

from fix_gateway.fix.dictionary import dictionary_path

FIELDS = (
    quickfix.ClOrdID, quickfix.Symbol, quickfix.Side, quickfix.OrderQty, quickfix.Price,
)  # fmt: skip


class Application(quickfix.Application):  # type: ignore[misc]  # Untyped bindings.
    """Accepts every order."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def onCreate(self, session_id: Any) -> None:
        """Called by QuickFIX."""

    def onLogon(self, session_id: Any) -> None:
        """Called by QuickFIX."""

    def onLogout(self, session_id: Any) -> None:
        """Called by QuickFIX."""

    def toAdmin(self, message: Any, session_id: Any) -> None:
        """Called by QuickFIX."""

    def fromAdmin(self, message: Any, session_id: Any) -> None:
        """Called by QuickFIX."""

    def toApp(self, message: Any, session_id: Any) -> None:
        """Called by QuickFIX."""

    def fromApp(self, message: Any, session_id: Any) -> None:
        """Answer with one report."""
        self._count += 1
        report = quickfix.Message()
        report.getHeader().setField(quickfix.MsgType(quickfix.MsgType_ExecutionReport))
        for make in FIELDS:
            field = make()
            message.getField(field)
            report.setField(field)
        report.setField(quickfix.OrderID(str(self._count)))
        report.setField(quickfix.ExecID(str(self._count)))
        report.setField(quickfix.ExecType(quickfix.ExecType_NEW))
        report.setField(quickfix.OrdStatus(quickfix.OrdStatus_NEW))
        report.setField(quickfix.LeavesQty(1))
        report.setField(quickfix.CumQty(0))
        report.setField(quickfix.AvgPx(0))
        report.setField(quickfix.TransactTime())
        quickfix.Session.sendToTarget(report, session_id)


def main() -> None:
    """Serve until the standard input ends."""
    port, directory, *clients = sys.argv[1:]
    values = {
        "ConnectionType": "acceptor",
        "SocketAcceptPort": port,
        "FileStorePath": directory,
        "NonStopSession": "Y",
        "UseDataDictionary": "Y",
        "DataDictionary": str(dictionary_path("4.4")),
        "AllowUnknownMsgFields": "Y",
        "SocketNodelay": "Y",
    }
    dictionary = quickfix.Dictionary()
    for key, value in values.items():
        dictionary.setString(key, value)
    settings = quickfix.SessionSettings()
    for client in clients:
        settings.set(quickfix.SessionID("FIX.4.4", "WCX", client), dictionary)
    application = Application()
    stores = quickfix.FileStoreFactory(settings)
    acceptor = quickfix.SocketAcceptor(application, stores, settings)
    acceptor.start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
