"""The command line: one file a group of commands. It parses, calls and prints; the logic is elsewhere."""

from __future__ import annotations

from aigenbench.cli.main import main

__all__ = ["main"]
