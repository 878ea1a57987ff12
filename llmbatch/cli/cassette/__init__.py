"""`llmbatch cassette`: one module a command, each with `add` (its flags) and `run` (what it does)."""

from __future__ import annotations

import argparse
from typing import Any

from llmbatch.cli.cassette import (
    alias,
    export,
    import_,
    merge,
    prune,
    scrub,
    show,
    split,
    stats,
    verify,
    why,
)

_COMMANDS: dict[str, Any] = {
    "verify": verify,
    "stats": stats,
    "show": show,
    "why": why,
    "merge": merge,
    "split": split,
    "prune": prune,
    "scrub": scrub,
    "export": export,
    "import": import_,
    "alias": alias,
}


def add_commands(parser: argparse.ArgumentParser, parser_class: type[argparse.ArgumentParser]) -> None:
    """Add every command with its flags and its help, the first line of its module's docstring."""
    commands = parser.add_subparsers(dest="subcommand", metavar="COMMAND", parser_class=parser_class, required=True)
    for name, module in _COMMANDS.items():
        text = module.__doc__.splitlines()[0].partition(": ")[2]
        module.add(commands.add_parser(name, help=text, description=text, allow_abbrev=False))


def run(options: argparse.Namespace) -> int:
    """Do what was asked and return the exit code. Raises LlmbatchError."""
    code: int = _COMMANDS[options.subcommand].run(options)
    return code
