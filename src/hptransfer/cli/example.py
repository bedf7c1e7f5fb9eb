"""`hptransfer example`: a small real table to try the package on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hptransfer.cli.options import argument, option
from hptransfer.cli.outputs import OutputError, check_outputs
from hptransfer.files import write_whole
from hptransfer.words import count, precise


def example(
    name: Annotated[str, argument("NAME", "widths, decay, tokens or demo.")] = "widths",
    out: Annotated[Path | None, option("FILE", "File to write.  [default: NAME.csv]")] = None,
) -> None:
    """Write a small real table, and say what to try on it.

    widths: standard parametrization and muP at five widths. decay: muP with coupled and with independent
    weight decay. tokens: training grows with the model. demo: the runs of `hptransfer demo`, under standard
    parametrization, muP and a variant between them. All were trained for this project.

    Example: hptransfer example && hptransfer fit widths.csv --coordinates sp --target 256
    """
    import shlex

    from hptransfer.sweep.example import EXAMPLES, example_text

    text = example_text(name)
    content = text.encode()
    path = Path(f"{name}.csv") if out is None else out
    check_outputs([path])
    if path.is_file() and path.read_bytes() != content:
        raise OutputError(f"cannot write {path}: it exists and is another file; name one with --out")
    write_whole(path, content)
    found = EXAMPLES[name]
    typer.echo(f"wrote {path}: {count(len(text.splitlines()) - 1)} runs of {found.about}")
    more = "" if found.tolerance is None else f" --tolerance {precise(found.tolerance)}"
    typer.echo(
        f"try:  hptransfer fit {shlex.quote(str(path))} --coordinates sp{more} --target {found.target}"
    )
