"""`wcx config`: what is set, where, and whether it may be."""

from pathlib import Path
from typing import Annotated

import typer

from config.settings import Settings
from config.sources import MASK, all_keys, describe, env_name

app = typer.Typer(help="Settings: check them, show where each comes from.", no_args_is_help=True)
"""What `wcx config` offers."""


@app.command()
def check() -> None:
    """Check the settings as every process does at its start.

    Names each value that is wrong, where it stands and what is allowed; the exit code is 1 then.
    """
    settings = Settings()
    missing = [
        f"wcx: {places_of(key)}: {path} cannot be read"
        for key, path in named_files(settings)
        if not path.is_file()
    ]
    if missing:
        raise SystemExit("\n".join(missing))
    print(f"{Settings.places().file}: every value may be as it is")


@app.command()
def show(
    *,
    allowed: Annotated[
        bool, typer.Option("--allowed", help="Say what each may be, not what it is.")
    ] = False,
) -> None:
    """Print every setting, its value, and where it was set. Secrets are masked."""
    settings = Settings()
    for key in all_keys(Settings):
        name = ".".join(key)
        if allowed:
            print(f"{name:<40} {env_name(key):<45} {describe(Settings, key)}")
        else:
            print(f"{name:<40} {value_text(settings, key):<30} {places_of(key)}")


def places_of(key: tuple[str, ...]) -> str:
    """Return where a setting comes from."""
    return Settings.places().find(key) or "default"


def value_text(settings: Settings, key: tuple[str, ...]) -> str:
    """Return a setting's value as text, `***` for a secret."""
    value: object = settings
    for name in key:
        value = getattr(value, name)
    if hasattr(value, "get_secret_value"):
        return MASK
    return "" if value is None else str(value)


def named_files(settings: Settings) -> list[tuple[tuple[str, ...], Path]]:
    """Return the files that settings name and that must be there."""
    fix = settings.fix
    named = (
        (("fix", "tls_certificate"), fix.tls_certificate),
        (("fix", "tls_key"), fix.tls_key),
        (("fix", "tls_client_ca"), fix.tls_client_ca),
    )
    return [(key, path) for key, path in named if path is not None]
