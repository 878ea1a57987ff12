"""The command line: the only room that reads the environment and prints."""

from llmbatch.cli.main import main

__all__ = ["main"]
