"""The commands of `whoismesh`, one module each."""

from whoismesh.cli.main import main

__all__ = ["main"]
