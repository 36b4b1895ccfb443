"""What of the risk settings takes two people."""

from msgspec.structs import replace

from admin_api.risk_views import loosens_limit, loosens_mode
from engine.controls import Control, Level, Limit, Mode, ModeCause, TradingMode
from engine.risk_commands import SetTradingMode
from engine.scope import Scope

ORDERS = Limit(Level.OPERATOR, Scope.FIRM, 1, Control.OPEN_ORDERS, 10)
RESTRICTED = replace(ORDERS, control=Control.RESTRICTED, value=1)


def test_limit_is_loosened_by_more_and_by_none() -> None:
    """Compared with the limit of the same level, owner and control alone."""
    wanted = [replace(ORDERS, value=value) for value in (9, 10, 11, None)]
    assert [loosens_limit([ORDERS], limit) for limit in wanted] == [False, False, True, True]
    assert not loosens_limit([], replace(ORDERS, value=11))
    assert not loosens_limit([ORDERS], replace(ORDERS, level=Level.FIRM, value=11))
    assert [loosens_limit([RESTRICTED], replace(RESTRICTED, value=v)) for v in (1, 0, None)] == [
        False, True, True,
    ]  # fmt: skip


def test_mode_is_loosened_by_one_that_allows_more() -> None:
    """Compared with the mode of the same scope and level alone."""

    def wanted(mode: Mode, level: Level = Level.OPERATOR) -> SetTradingMode:
        return SetTradingMode(Scope.FIRM, 1, level, mode, "why", "rita")

    held = [MODE]
    assert [loosens_mode(held, wanted(mode)) for mode in Mode] == [True, True, False, False]
    assert not loosens_mode(held, wanted(Mode.NORMAL, Level.FIRM))
    assert not loosens_mode([], wanted(Mode.NORMAL))


MODE = TradingMode(Scope.FIRM, 1, Level.OPERATOR, Mode.CANCEL_ONLY, ModeCause.PERSON, "why", "rita")
