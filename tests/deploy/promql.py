"""Checks a PromQL expression against figures that were really exported.

Not an evaluation: every selector must find something, with the labels and values that it names, and
whatever is grouped by must be a label of what is selected. A misspelt name finds nothing.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

FUNCTIONS = {"abs", "histogram_quantile", "increase", "predict_linear", "rate"}
AGGREGATIONS = {"max", "min", "sum"}
GROUPINGS = {"by", "without", "on", "ignoring"}
OPERATORS = {"and", "or", "unless", "bool"}
TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<string>"[^"]*") | (?P<duration>\d+[smhdw]\b) | (?P<number>\d+(\.\d+)?)
    | (?P<name>[A-Za-z_:][\w:]*) | (?P<sign>==|!=|>=|<=|=~|!~|[-+*/%^><=(){}\[\],])""",
    re.VERBOSE,
)


class Matcher(NamedTuple):
    """What a label must be like."""

    label: str
    operator: str
    value: str

    def accepts(self, value: str) -> bool:
        matches = re.fullmatch(self.value, value) is not None
        return {
            "=": value == self.value,
            "!=": value != self.value,
            "=~": matches,
            "!~": not matches,
        }[self.operator]


@dataclass
class Figures:
    """All samples that there are, by name, as their labels."""

    samples: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def add(self, job: str, text: str) -> None:
        """Take in what a process has exported, as Prometheus would."""
        self.samples.setdefault("up", []).append({"job": job})
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.samples.setdefault(sample.name, []).append({"job": job, **sample.labels})

    def find(self, name: str, matchers: list[Matcher]) -> list[dict[str, str]]:
        return [
            labels
            for labels in self.samples.get(name, [])
            if all(matcher.accepts(labels.get(matcher.label, "")) for matcher in matchers)
        ]


def find_faults(expression: str, figures: Figures, legend: str = "") -> list[str]:
    """Return what is wrong with an expression, and with a panel's legend for it."""
    try:
        tokens = list(_tokens(expression))
    except ValueError as error:
        return [str(error)]
    faults = _unbalanced(tokens)
    found_labels: set[str] = set()
    grouped: set[str] = set()
    place = 0
    while place < len(tokens):
        token = tokens[place]
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        place += 1
        if not re.match(r"[A-Za-z_:]", token) or token in OPERATORS:
            continue
        if token in GROUPINGS:
            end = tokens.index(")", place)
            grouped |= {name for name in tokens[place + 1 : end] if name != ","}
            place = end + 1
        elif following == "(" or token in AGGREGATIONS:
            if token not in FUNCTIONS | AGGREGATIONS:
                faults.append(f"there is no function {token}")
        else:
            matchers, place = _matchers(tokens, place)
            samples = figures.find(token, matchers)
            if not samples:
                faults.append(f"nothing is exported as {token}{matchers or ''}")
            found_labels |= {label for labels in samples for label in labels}
    faults += [f"grouped by {label}, which nothing has" for label in sorted(grouped - found_labels)]
    shown = set(re.findall(r"{{\s*(\w+)\s*}}", legend))
    left = grouped or found_labels
    faults += [f"the legend shows {label}, which is not left" for label in sorted(shown - left)]
    return faults


def _tokens(expression: str) -> Iterator[str]:
    place = 0
    while place < len(expression):
        found = TOKEN.match(expression, place)
        if found is None:
            raise ValueError(f"cannot be read from {expression[place:]!r} on")
        place = found.end()
        if found.lastgroup != "space":
            yield found[0]


def _unbalanced(tokens: Iterable[str]) -> list[str]:
    pairs = {")": "(", "}": "{", "]": "["}
    opened: list[str] = []
    for token in tokens:
        if token in pairs.values():
            opened.append(token)
        elif token in pairs and (not opened or opened.pop() != pairs[token]):
            return [f"{token} closes nothing"]
    return [f"{token} is never closed" for token in opened]


def _matchers(tokens: list[str], place: int) -> tuple[list[Matcher], int]:
    if place >= len(tokens) or tokens[place] != "{":
        return [], place
    end = tokens.index("}", place)
    inside = [token for token in tokens[place + 1 : end] if token != ","]
    parts = zip(inside[::3], inside[1::3], inside[2::3], strict=True)
    return [Matcher(label, sign, value.strip('"')) for label, sign, value in parts], end + 1
