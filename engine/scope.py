"""How far something reaches: a limit, a kill switch, a cancelling of orders."""

from enum import Enum


class Scope(Enum):
    """Of whom, or of what. What goes with it is the identity: 0 for everything.

    A user is whoever calls over REST, and whom a FIX session belongs to.
    """

    # By identity: the one of Enum is a function in Python, and much is looked up by whose it is.
    __hash__ = object.__hash__

    EVERYTHING = 0
    FIRM = 1
    ACCOUNT = 2
    SESSION = 3
    USER = 4
    INSTRUMENT = 5
