"""What requests may hold beyond what QuickFIX checks, made from the rules of engagement."""

from dataclasses import dataclass
from functools import cache

from fix_gateway.fix.dictionary import load_version
from fix_gateway.fix.fields import Fields, printable


@dataclass(frozen=True)
class RequestRules:
    """The rules of one message type in one version.

    `refused` has the words that follow the field's name, for fields that would be ignored if the
    message were taken. `accepted` has the values that are known, of the fields that have any.
    """

    names: dict[int, str]
    refused: dict[int, str]
    accepted: dict[int, frozenset[str]]

    def find_unsupported(self, fields: Fields) -> str | None:
        """Return in words what the message asks for that is not done here, None for nothing."""
        if not self.refused.keys().isdisjoint(fields):
            tag = next(tag for tag in self.refused if tag in fields)
            return f"{self.names[tag]}({tag}) {self.refused[tag]}"
        for tag, values in self.accepted.items():
            value = fields.get(tag)
            # A field may hold several values, as ExecInst(18) does.
            if value is not None and value not in values and not values.issuperset(value.split()):
                return f"{self.names[tag]}({tag}) {printable(value)} is not supported"
        return None


@cache
def load_request_rules(version: str, msg_type: str) -> RequestRules:
    """Return the rules of a message type in a version."""
    known = load_version(version)
    rules = known.messages[msg_type].rules
    tags = {rule.name: known.field(rule.name).tag for rule in rules}
    return RequestRules(
        names={tag: name for name, tag in tags.items()},
        refused={tags[rule.name]: rule.note for rule in rules if rule.is_refused},
        accepted={tags[rule.name]: frozenset(rule.values) for rule in rules if rule.values},
    )
