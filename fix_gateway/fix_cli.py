"""`wcx fix`: what a client's engine needs to know of the versions that are spoken here."""

from enum import StrEnum
from typing import Annotated

import typer

from fix_gateway.fix.dictionary import dictionary_path


class DictionaryName(StrEnum):
    """The dictionaries that there are. FIX 5.0 SP2 needs two: fixt11 is of its session."""

    FIX_4_2 = "4.2"
    FIX_4_4 = "4.4"
    FIXT_1_1 = "fixt11"
    FIX_5_0_SP2 = "5.0sp2"


app = typer.Typer(help="What the gateway speaks, for clients.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Keep `dictionary` a command of its own, also while it is the only one."""


@app.command()
def dictionary(
    version: Annotated[
        DictionaryName,
        typer.Option(help="Of FIX. A FIXT.1.1 session needs fixt11 (transport) and 5.0sp2."),
    ] = DictionaryName.FIX_4_4,
) -> None:
    """Print the gateway's data dictionary of a version in QuickFIX's XML."""
    print(dictionary_path(version.value).read_text(), end="")
