"""How far something reaches: a limit, a kill switch, a cancelling of orders."""

from enum import Enum


class Scope(Enum):
    """Of whom. What goes with it is the identity of the firm, account or session."""

    EVERYTHING = 0
    FIRM = 1
    ACCOUNT = 2
    SESSION = 3
