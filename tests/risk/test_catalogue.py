"""The list of controls is that of the code, and docs/risk.md shows it."""

from pathlib import Path

from engine import commands
from engine.controls import CONTROL_RULES, Control, InstrumentRules
from engine.reasons import RejectReason
from risk.catalogue import CATALOGUE, render_catalogue
from risk.modes import REASONS
from risk.precedence import CHECKS, TRADER_CHECKS

DOCUMENT = Path(__file__).parents[2] / "docs" / "risk.md"
FIELDS = [name for name in InstrumentRules.__struct_fields__ if name != "instrument_id"]


def test_document_shows_the_list() -> None:
    """Between its two marks stands exactly what the code renders."""
    text = DOCUMENT.read_text()
    _, _, rest = text.partition("<!-- controls -->\n\n")
    table, _, _ = rest.partition("\n<!-- /controls -->")
    assert table == render_catalogue()


def test_everything_that_can_be_set_is_in_the_list() -> None:
    """Each control and each field of the rules once; what else is named is a command."""
    settings = [setting for entry in CATALOGUE for setting in entry.settings]
    assert sorted(set(settings)) == sorted(settings)
    others = set(settings) - {control.name for control in Control} - set(FIELDS)
    assert {control.name for control in Control} | set(FIELDS) <= set(settings)
    assert all(hasattr(commands, name) for name in others)


def test_every_check_belongs_to_one_control_of_the_list() -> None:
    """A new check has to say which control it is."""
    named = [check for entry in CATALOGUE for check in entry.checks]
    made = [stage.check.__name__ for stage in TRADER_CHECKS]
    made += [stage.check.__name__ for stage in CHECKS]
    assert sorted(named) == sorted(made)


def test_document_gives_the_order_of_the_checks() -> None:
    """Word by word."""
    names = ", ".join(f"`{stage.check.__name__}`" for stage in CHECKS)
    assert f"4. {names}." in " ".join(DOCUMENT.read_text().split())


def test_every_code_of_a_control_is_in_the_list() -> None:
    """Those of limits, those of modes, and all of the families of ranges, counts and limits."""
    codes = {code for entry in CATALOGUE for code in entry.codes}
    families = {reason for reason in RejectReason if 601 <= reason.value < 800}
    assert {rule.reason for rule in CONTROL_RULES.values()} <= codes
    assert set(REASONS.values()) <= codes
    assert families <= codes
