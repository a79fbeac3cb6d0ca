"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import typer


class Format(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


File = Annotated[str, typer.Argument(metavar="FILE", help="The shot list.")]
Out = Annotated[str | None, typer.Option(help="Put films/ and .secondunit/ into this folder.")]
FormatOption = Annotated[Format, typer.Option("--format", help="Print text, or one JSON document.")]
GatewayOption = Annotated[
    Literal["backlot", "runway", "cometapi"] | None, typer.Option(help="Who takes the orders.")
]
Quality = Annotated[
    str | None, typer.Option(help="Which profile of models: draft, final or your own.")
]
BaseUrl = Annotated[
    str | None, typer.Option(help="The gateway's address: https, or this machine for tests.")
]
Only = Annotated[
    str | None, typer.Option(help="Only these shots and what they need: names, *, a..b.")
]
Root = Annotated[
    list[str] | None,
    typer.Option(help="Also allow files from this folder, beside the shot list's own. Repeatable."),
]
