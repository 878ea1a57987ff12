"""The flags of `llmbatch`, and nothing of what they do."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import NoReturn

from llmbatch.cli import doctor, runs
from llmbatch.cli.cassette import add_commands
from llmbatch.errors import UsageError
from llmbatch.invocation.options import DURABILITIES, FORMATS, MODES

EXIT_CODES = """exit codes:
  0  fine                                  4  usage, configuration, lock or experiment error
  1  some cases have no answer             5  nothing selected
  2  interrupted; the same command goes on 6  the service stopped the run
  3  a bug of llmbatch                     7  disk"""


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are errors of ours, so that they look and exit like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError with the message and the next step."""
        wrong, known = "", list(self._option_string_actions)
        if message.startswith("unrecognized arguments"):
            wrong = next((word.partition("=")[0] for word in message.split() if word.startswith("--")), "")
        elif choice := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            wrong, known = choice[1], re.findall(r"'([^']*)'", choice[2])
        near = difflib.get_close_matches(wrong, known, n=1)
        raise UsageError(message, fix=f"write {near[0]}" if near else f"{self.prog} --help lists what there is")

    def used(self, options: argparse.Namespace) -> Parser:
        """Return the parser of the command that the options name: a mistake is looked up among its flags."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                chosen = action.choices.get(getattr(options, action.dest))
                return self if chosen is None else chosen.used(options)
        return self


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="llmbatch",
        description="Run language models over samples, record every HTTP interaction, get tables anyone can replay.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    _add_exp(commands)
    _add_new(commands)
    cassette = commands.add_parser(
        "cassette",
        help="look into cassettes, check, merge and convert them",
        description="Look into cassettes, check, merge and convert them.",
        allow_abbrev=False,
    )
    add_commands(cassette, Parser)
    text = "list past runs, and show what happened in one"
    runs.add(commands.add_parser("runs", help=text, description=text, allow_abbrev=False))
    text = "check that llmbatch holds its promises here, and on a cassette"
    doctor.add(commands.add_parser("doctor", help=text, description=text, allow_abbrev=False))
    return parser


def _add_exp(commands: argparse._SubParsersAction[Parser]) -> None:
    exp = commands.add_parser(
        "exp",
        help="run the tasks of experiment files",
        description="Collect the tasks of each file, answer their cases, print and save the tables.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    exp.add_argument("targets", nargs="+", metavar="PATH[::task[variant]]", help="what to run")
    exp.add_argument("--profile", metavar="NAME", help="the options of [profiles.NAME] of the configuration")
    for add in (_add_selection, _add_recording, _add_pace, _add_money, _add_output):
        add(exp)


def _add_selection(exp: Parser) -> None:
    select = exp.add_argument_group("select cases")
    select.add_argument("-k", dest="keyword", metavar="EXPR", help="tasks and variants whose name matches")
    select.add_argument("-m", dest="marks", metavar="EXPR", help="tasks and values with these marks")
    select.add_argument("--limit", type=int, metavar="N", help="the first N samples")
    select.add_argument("--sample", type=int, metavar="N", help="N samples drawn by the hash of their ids")
    select.add_argument("--seed", type=int, metavar="S", help="another draw for --sample (default 0)")
    select.add_argument("--repeat", type=int, metavar="N", help="ask each case N times")
    select.add_argument(
        "--model",
        action="append",
        metavar="ENDPOINT/NAME",
        help="only this one of a parametrised task; else ask this one (may repeat)",
    )
    select.add_argument(
        "--last-failed", action="store_true", default=None, help="the cases whose row was not ok in the last run"
    )
    select.add_argument("--collect-only", action="store_true", help="list the variants and stop")


def _add_recording(exp: Parser) -> None:
    record = exp.add_argument_group("record and replay")
    record.add_argument("--record-mode", choices=MODES, help="as in vcrpy (default new_episodes; none when CI is set)")
    record.add_argument("--offline", action="store_true", help="replay only: mode none, and no connection is made")
    record.add_argument(
        "--retry-errors", action="store_true", default=None, help="ask recorded refusals of the service again, too"
    )
    record.add_argument(
        "--allow-unstable", action="store_true", default=None, help="go on although a prompt changes by itself"
    )
    record.add_argument("--cassette", metavar="DIR", help="another folder than cassettes/<experiment>")
    record.add_argument("--expect-digest", metavar="SHA", help="stop unless this is the cassette's content digest")
    record.add_argument(
        "--durability",
        choices=DURABILITIES,
        help="what an answer survives once a task has it: the process's death (default), or a power cut",
    )


def _add_pace(exp: Parser) -> None:
    pace = exp.add_argument_group("pace")
    pace.add_argument("--concurrency", type=int, metavar="N", help="HTTP attempts in flight (default 64)")
    pace.add_argument("--rpm", type=int, metavar="N", help="requests a minute to each endpoint (default as configured)")
    pace.add_argument("--tpm", type=int, metavar="N", help="tokens a minute to each endpoint (default as configured)")
    pace.add_argument("--window", type=int, metavar="N", help="cases in flight (default 4 x concurrency)")
    pace.add_argument(
        "--no-hedge",
        dest="hedge",
        action="store_const",
        const=False,
        help="send no second call for one that is late when nothing is left to start",
    )


def _add_money(exp: Parser) -> None:
    money = exp.add_argument_group("money")
    money.add_argument(
        "--dry-run", action="store_true", help="send nothing; say what would be called, why, and what it would cost"
    )
    money.add_argument(
        "--pilot", type=int, metavar="N", help="run N cases of each variant, then say what the rest would cost"
    )
    money.add_argument(
        "--budget", dest="budget_usd", metavar="USD", help="stop before the run spends more: 5usd, 0.50 (default none)"
    )
    money.add_argument("--yes", action="store_true", help="at a terminal, do not ask before paying")


def _add_output(exp: Parser) -> None:
    out = exp.add_argument_group("output")
    out.add_argument("--results", metavar="DIR", help="another folder than results/<experiment>")
    out.add_argument(
        "--format", action="append", choices=FORMATS, help="write rows and tables in this form too (may repeat)"
    )
    out.add_argument("--strict", action="store_true", default=None, help="stop at the first bad sample line")
    out.add_argument("-q", "--quiet", action="store_true", help="no progress")


def _add_new(commands: argparse._SubParsersAction[Parser]) -> None:
    new = commands.add_parser("new", help="write a runnable experiment with its prompt and samples")
    new.add_argument("name", help="a Python identifier, for instance review_tone")
    new.add_argument("--into", default=".", metavar="DIR", help="the project's folder (default: this one)")
