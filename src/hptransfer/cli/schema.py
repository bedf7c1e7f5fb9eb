"""`hptransfer schema`: the JSON schema of a spec, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hptransfer.cli.options import option
from hptransfer.cli.outputs import check_outputs
from hptransfer.files import write_whole


def schema(
    to: Annotated[Path | None, option("FILE", "File to write.  [default: print it]", "--to")] = None,
) -> None:
    """Print the JSON schema of a spec, for editors.

    With it an editor completes and checks the spec of a study.

    Editors with a YAML language server find it by the spec's first line:
    # yaml-language-server: $schema=study.schema.json

    Example: hptransfer schema --to study.schema.json
    """
    from hptransfer.study.schema import HEADER, spec_schema

    text = json.dumps(spec_schema(), indent=1)
    if to is None:
        typer.echo(text)
        return
    check_outputs([to])
    write_whole(to, f"{text}\n".encode())
    typer.echo(f"wrote {to}; the first line of a spec beside it: {HEADER}{to.name}")
