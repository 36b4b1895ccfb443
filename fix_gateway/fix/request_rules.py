"""What requests may hold beyond what QuickFIX checks, made from the rules of engagement."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from fix_gateway.fix.dictionary import load_version
from fix_gateway.fix.fields import Fields, Tag, printable
from fix_gateway.fix.framing import split_fields

# What every order says: the rest is looked at only when something of it is there.
USUAL_TAGS: Final = (Tag.SIDE, Tag.ORD_TYPE, Tag.TIME_IN_FORCE)


@dataclass(frozen=True)
class RequestRules:
    """The rules of one message type in one version.

    `refused` has the words that follow the field's name, for fields that would be ignored if the
    message were taken. `usual` and `accepted` have the values that are known, of the fields that
    have any. `unusual` are the tags of `refused` and `accepted`. `groups` has the first
    field of every repeating group, by the field that counts it.
    """

    names: dict[int, str]
    refused: dict[int, str]
    usual: dict[int, frozenset[str]]
    accepted: dict[int, frozenset[str]]
    unusual: frozenset[int]
    groups: dict[int, int]

    def find_unsupported(self, fields: Fields) -> str | None:
        """Return in words what the message asks for that is not done here, None for nothing."""
        words = self._find_unknown(fields, self.usual)
        if words is not None or self.unusual.isdisjoint(fields):
            return words
        for tag, why in self.refused.items():
            if tag in fields:
                return f"{self.names[tag]}({tag}) {why}"
        return self._find_unknown(fields, self.accepted)

    def find_miscounted(self, fields: Fields, text: str) -> int | None:
        """Return the counter of a repeating group that is not as long as it says, or None.

        QuickFIX does not look when it is to tolerate fields that it does not know. All groups of a
        kind are counted together: nested ones stand in several entries of the outer one.
        """
        if self.groups.keys().isdisjoint(fields):
            return None
        pairs = split_fields(text.encode("utf-8", "surrogateescape")) or []
        for counter, first in self.groups.items():
            said = [value for tag, value in pairs if tag == counter]
            count = sum(tag == first for tag, _ in pairs)
            if sum(int(value) for value in said) != count:
                return counter
        return None

    def _find_unknown(self, fields: Fields, known: dict[int, frozenset[str]]) -> str | None:
        for tag, values in known.items():
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
    values = {tags[rule.name]: frozenset(rule.values) for rule in rules if rule.values}
    refused = {tags[rule.name]: rule.note for rule in rules if rule.is_refused}
    accepted = {tag: own for tag, own in values.items() if tag not in USUAL_TAGS}
    return RequestRules(
        names={tag: name for name, tag in tags.items()},
        refused=refused,
        usual={tag: own for tag, own in values.items() if tag in USUAL_TAGS},
        accepted=accepted,
        unusual=frozenset({*refused, *accepted}),
        groups=known.group_tags(msg_type),
    )
