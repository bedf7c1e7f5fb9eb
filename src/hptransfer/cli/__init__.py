"""The command line: parse, call, print."""

from hptransfer.cli.app import app, main

__all__ = ["app", "main"]
