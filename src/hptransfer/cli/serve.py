"""`hptransfer serve`: the report of a running study, in a browser of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from hptransfer.cli.options import option
from hptransfer.cli.watch import Folder
from hptransfer.errors import HPTransferError

PORT = 8765


def serve(
    folder: Folder,
    port: Annotated[int, option("N", "Port to listen on; 0 takes a free one.", min=0, max=65535)] = PORT,
) -> None:
    """Show a study's progress and report in a browser.

    Both are updated while it runs.

    It listens on 127.0.0.1 only, reads the study and writes nothing. Ctrl-C ends it. To reach it from another
    machine: ssh -L 8765:127.0.0.1:8765 HOST.

    Example: hptransfer serve runs/demo
    """
    from hptransfer.study.serve import HOST, StudyServer

    try:
        server = StudyServer(folder, port)
    except OSError as error:
        raise HPTransferError(f"--port must be free, but {HOST}:{port}: {error.strerror}") from None
    typer.echo(f"Serving {folder} on {server.url}; Ctrl-C ends it.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("The server has ended.")
    finally:
        server.server_close()
