"""What a session is told of beside its own orders: copies of what happens to those of others.

A drop copy session is told of every order of its firm; a trading session of its whole account, when
its Logon asks for that with ResponseMode(25036)=1.
"""

from collections.abc import Iterable, MutableMapping
from typing import Final

from engine.instrument import Account
from engine.units import AccountId, SessionId
from store.sessions import FixSessionRow

EVERYTHING, OWN = "1", "2"  # ResponseMode(25036).
RESPONSE_MODES: Final = (EVERYTHING, OWN)

Listeners = MutableMapping[SessionId, "Listening"]
"""The sessions of a process that are told of the orders of others."""


class Listening:
    """Whom one session listens to. Belongs to the gateway's one thread.

    It enters itself in `listeners` for as long as it listens to anybody.
    """

    def __init__(self, row: FixSessionRow, listeners: Listeners) -> None:
        self._row = row
        self._listeners = listeners
        self._response_mode = OWN
        self._enter()

    def hears(self, account: Account) -> bool:
        """Whether the session is told of all that happens to the account's orders."""
        if self._row.is_drop_copy:
            return account.firm_id == self._row.firm_id
        return self._response_mode == EVERYTHING and account.account_id == self._row.account_id

    def heard(self, accounts: Iterable[Account]) -> frozenset[AccountId]:
        """Return those of the accounts that are listened to."""
        return frozenset(account.account_id for account in accounts if self.hears(account))

    def change(self, row: FixSessionRow) -> bool:
        """Let the settings of the row hold. Returns whether others are listened to from now on."""
        is_other = (row.is_drop_copy, row.firm_id, row.account_id) != (
            self._row.is_drop_copy, self._row.firm_id, self._row.account_id,
        )  # fmt: skip
        self._row = row
        self._enter()
        return is_other

    def log_on(self, response_mode: str | None) -> bool:
        """Let the Logon's wish hold. Returns whether others are listened to from now on."""
        mode = response_mode or OWN
        is_other = mode != self._response_mode
        self._response_mode = mode
        self._enter()
        return is_other

    def end(self) -> None:
        """The session is not served here any more."""
        self._listeners.pop(self._row.session_id, None)

    def _enter(self) -> None:
        if self._row.is_drop_copy or self._response_mode == EVERYTHING:
            self._listeners[self._row.session_id] = self
        else:
            self.end()
