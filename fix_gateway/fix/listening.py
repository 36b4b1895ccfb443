"""What a session is told of beside its own orders: copies of what happens to those of others.

A drop copy session is told of every order of its firm, or of the accounts that are chosen for it; a
trading session of its whole account, when its Logon asks for that with ResponseMode(25036)=1.
"""

from collections.abc import Mapping, MutableMapping
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
        self._listeners = listeners
        self._response_mode = OWN
        self._heard: frozenset[AccountId] = frozenset()
        self._known_count = 0
        self._settle(row)

    @property
    def is_listening(self) -> bool:
        """Whether it listens to anybody."""
        return self._row.is_drop_copy or self._response_mode == EVERYTHING

    def hears(self, account: Account) -> bool:
        """Whether the session is told of all that happens to the account's orders."""
        if self._row.is_drop_copy:
            is_meant = not self._chosen or account.account_id in self._chosen
            return is_meant and account.firm_id == self._row.firm_id
        return self._response_mode == EVERYTHING and account.account_id == self._row.account_id

    def heard(self, accounts: Mapping[AccountId, Account]) -> frozenset[AccountId]:
        """Return those of all accounts there are that are listened to."""
        if self.is_listening and len(accounts) != self._known_count:
            # Accounts come and never go, nor change.
            self._known_count = len(accounts)
            known = accounts.values()
            self._heard = frozenset(each.account_id for each in known if self.hears(each))
        return self._heard

    def asked_about(self, accounts: Mapping[AccountId, Account]) -> frozenset[AccountId]:
        """Return those whose past the session may ask about: for a trading session its own too."""
        heard = self.heard(accounts)
        return heard if self._row.is_drop_copy else heard | {self._row.account_id}

    def change(self, row: FixSessionRow) -> bool:
        """Let the settings of the row hold. Returns whether others are listened to from now on."""
        before = self._row
        self._settle(row)
        return (row.is_drop_copy, row.firm_id, row.account_id, row.copied_account_ids) != (
            before.is_drop_copy, before.firm_id, before.account_id, before.copied_account_ids,
        )  # fmt: skip

    def log_on(self, response_mode: str | None) -> bool:
        """Let the Logon's wish hold. Returns whether others are listened to from now on."""
        mode = response_mode or OWN
        is_other = mode != self._response_mode
        self._response_mode = mode
        self._settle(self._row)
        return is_other

    def end(self) -> None:
        """The session is not served here any more."""
        self._listeners.pop(self._row.session_id, None)

    def _settle(self, row: FixSessionRow) -> None:
        self._row = row
        self._chosen = frozenset(row.copied_account_ids)
        self._heard, self._known_count = frozenset(), 0
        if self.is_listening:
            self._listeners[row.session_id] = self
        else:
            self.end()
