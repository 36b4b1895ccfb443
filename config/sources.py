"""Where each setting comes from, what it may be, and what is wrong with it, in words for people."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

ENV_PREFIX: Final = "WCX_"
MASK: Final = "***"
SECRET_KEYS: Final = frozenset({"database_url", "redis_url", "mqtt_url"})
_SECTION: Final = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
_KEY: Final = re.compile(r"\s*([\w-]+)\s*=")

Key = tuple[str, ...]
"""A key's place: its section, if it has one, and its name."""


class SettingsError(SystemExit):
    """The settings cannot be used. Uncaught, it ends the process with its text and code 1."""


@dataclass(frozen=True)
class Places:
    """Where settings are looked for: the environment first, then secret files, then the file."""

    file: Path
    secrets_dir: Path | None
    environment: Mapping[str, str]

    def find(self, key: Key) -> str | None:
        """Return where a key is set, None when it has its default."""
        name = env_name(key)
        if name in self.environment:
            return name
        if self.secrets_dir is not None and (self.secrets_dir / name.lower()).exists():
            return str(self.secrets_dir / name.lower())
        line = key_lines(self.file).get(key)
        return None if line is None else f"{self.file}:{line}"


def find_places(default_file: Path) -> Places:
    """Return where the settings of this process are. Raises SettingsError for a missing file."""
    environment = os.environ
    named = environment.get(f"{ENV_PREFIX}CONFIG")
    if named is not None and not Path(named).is_file():
        raise SettingsError(f"wcx: {ENV_PREFIX}CONFIG names {named}, and there is no such file")
    secrets = environment.get(f"{ENV_PREFIX}SECRETS_DIR")
    if secrets is not None and not Path(secrets).is_dir():
        raise SettingsError(
            f"wcx: {ENV_PREFIX}SECRETS_DIR names {secrets}, and there is no such directory"
        )
    return Places(
        default_file if named is None else Path(named),
        None if secrets is None else Path(secrets),
        dict(environment),
    )


def env_name(key: Key) -> str:
    """Return the environment variable of a key: `WCX_FIX__PORT`."""
    return ENV_PREFIX + "__".join(key).upper()


def key_lines(file: Path) -> dict[Key, int]:
    """Return on which line of the file each key is set, and each section begins."""
    lines: dict[Key, int] = {}
    section: Key = ()
    try:
        text = file.read_text()
    except OSError:
        return {}
    for number, line in enumerate(text.splitlines(), 1):
        if (found := _SECTION.match(line)) is not None:
            section = (found[1],)
            lines.setdefault(section, number)
        elif (found := _KEY.match(line)) is not None:
            lines.setdefault((*section, found[1]), number)
    return lines


def check_syntax(file: Path) -> None:
    """Raise SettingsError, with the line, when the file is no TOML."""
    try:
        tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"wcx: {file}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"wcx: {file}: {error}") from None


def explain(error: ValidationError, model: type[BaseModel], places: Places) -> SettingsError:
    """Return the error for people: a line for each value that is wrong, and what it may be."""
    return SettingsError(
        "\n".join(f"wcx: {_explain_one(details, model, places)}" for details in error.errors())
    )


def _explain_one(details: ErrorDetails, model: type[BaseModel], places: Places) -> str:
    key = tuple(str(part) for part in details["loc"])
    # An element of a list is explained as the list.
    while key and find_field(model, key) is None and details["type"] != "extra_forbidden":
        key = key[:-1]
    where = places.find(key) or str(places.file)
    name = _name(key)
    if details["type"] == "extra_forbidden":
        return f"{where}: there is no setting {name}{_did_you_mean(model, key)}"
    if details["type"] == "value_error":
        # What several keys have to do with each other says which it is about.
        return f"{where}: {name}: {details['ctx']['error']}"
    value = MASK if key[-1] in SECRET_KEYS else repr(details["input"])
    allowed = describe(model, key)
    return f"{where}: {name} is {value}, allowed is {allowed}"


def _name(key: Key) -> str:
    return key[0] if len(key) == 1 else f"[{key[0]}] {'.'.join(key[1:])}"


def _did_you_mean(model: type[BaseModel], key: Key) -> str:
    known = {known[-1] for known in all_keys(model) if known[:-1] == key[:-1]}
    known |= {known[0] for known in all_keys(model)} if len(key) == 1 else set()
    near = difflib.get_close_matches(key[-1], sorted(known), n=1)
    if near:
        return f": did you mean {near[0]}?"
    return f": known are {', '.join(sorted(known))}"


def all_keys(model: type[BaseModel], prefix: Key = ()) -> Iterator[Key]:
    """Yield the keys of all settings there are, in their order."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from all_keys(annotation, (*prefix, name))
        else:
            yield (*prefix, name)


def find_field(model: type[BaseModel], key: Key) -> dict[str, Any] | None:
    """Return the JSON schema of a key, None when there is no such key."""
    schema: Any = model.model_json_schema()
    definitions = schema.get("$defs", {})
    for name in key:
        if "$ref" in schema:
            schema = definitions[schema["$ref"].rpartition("/")[2]]
        schema = schema.get("properties", {}).get(name)
        if schema is None:
            return None
    found: dict[str, Any] = schema
    return found


def describe(model: type[BaseModel], key: Key) -> str:
    """Return what a key may be: `an integer from 0 to 65535`."""
    schema = find_field(model, key)
    return "another value" if schema is None else _describe(schema)


NOUNS: Final = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "object": "a section",
}


def _describe(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        return " or ".join(_describe(choice) for choice in choices)
    if "enum" in schema:
        return " or ".join(f'"{choice}"' for choice in schema["enum"])
    if "const" in schema:
        return f'"{schema["const"]}"'
    if schema.get("type") == "array":
        count = ""
        if "minItems" in schema:
            count = f" of {schema['minItems']} to {schema.get('maxItems', 'many')}"
        return f"a list{count}, each {_describe(schema['items'])}"
    if schema.get("format") in {"path", "password"}:
        return {"path": "a path", "password": "a secret"}[schema["format"]]
    words = NOUNS.get(schema.get("type", ""), "a value")
    return words + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    parts = []
    for bound, word in (
        ("minimum", "from"),
        ("exclusiveMinimum", "above"),
        ("maximum", "to"),
        ("exclusiveMaximum", "below"),
        ("pattern", "like"),
    ):
        if bound in schema:
            parts.append(f" {word} {schema[bound]}")
    return "".join(parts)
