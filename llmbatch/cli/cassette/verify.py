"""`llmbatch cassette verify`: check every byte and every key of a cassette, and print its content digest."""

from __future__ import annotations

import argparse
from pathlib import Path

from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode
from llmbatch.report.counting import counted
from llmbatch.report.safe import safe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassette", metavar="CASSETTE", help=CASSETTE_HELP)
    parser.add_argument("--repair", action="store_true", help="move what is damaged into quarantine files first")
    parser.add_argument("--expect-digest", metavar="SHA", help="fail unless this is the content digest")
    parser.add_argument("--secrets", action="store_true", help="search for what looks like a key, too")


def run(options: argparse.Namespace) -> int:
    """Print each problem, or the digest; return 0 when there is none."""
    from llmbatch.invocation.options import content_digest_of  # noqa: PLC0415 - `--help` should not load it

    expected = None if options.expect_digest is None else content_digest_of(options.expect_digest)
    folder = folder_of(options.cassette)
    if options.repair:
        _repair(folder)
    if not _is_sound(folder):
        return ExitCode.NO_ANSWER
    as_pinned = _has_digest(folder, expected)
    clean = not options.secrets or _holds_no_secret(folder)
    return ExitCode.FINE if as_pinned and clean else ExitCode.NO_ANSWER


def _repair(folder: Path) -> None:
    from llmbatch.cassette.upkeep.repair import repair  # noqa: PLC0415 - `--help` should not load it

    repaired = False
    for done in repair(folder):
        repaired = True
        moved = f"{counted(done.pieces, 'piece')} ({done.quarantined_bytes:,} bytes) to {done.quarantine.name}"
        print(safe(f"{done.file.name}: moved {moved}, kept {counted(done.kept, 'line')}"))
        if done.header_lost:
            print(safe(f"{done.file.name}: its header was damaged; endpoints and prices of its lines are not known"))
    if not repaired:
        print("nothing to repair")


def _is_sound(folder: Path) -> bool:
    from llmbatch.cassette.verify import problems_of  # noqa: PLC0415 - as above

    problems = 0
    for problem in problems_of(folder):
        problems += 1
        print(safe(problem))
    if problems:
        print(f"{counted(problems, 'problem')}: restore the files, or set aside what is damaged by --repair")
    return not problems


def _has_digest(folder: Path, expected: str | None) -> bool:
    from llmbatch.cassette.segment import segments_of  # noqa: PLC0415 - as above
    from llmbatch.cassette.store import Store  # noqa: PLC0415 - as above

    if not segments_of(folder):
        print(safe(f"{folder} has no segment files: an empty cassette, or no cassette"))
    with Store(folder) as store:
        digest = store.content_digest()
        print(f"{counted(len(store), 'interaction')}, content digest {digest}")
    if expected in {None, digest}:
        return True
    print(f"expected content digest {expected}: the answers are not those that were pinned")
    return False


def _holds_no_secret(folder: Path) -> bool:
    from llmbatch.cassette.upkeep.secrets import secrets_of  # noqa: PLC0415 - as above

    hits = 0
    for hit in secrets_of(folder):
        hits += 1
        place = f"{hit.file.name} offset {hit.offset}, key {hit.key}, {hit.member}"
        print(safe(f"{place}: {hit.shape} {hit.sample}"))
    if hits:
        looks = counted(hits, "place looks", "places look")
        print(f"{looks} like a secret; `llmbatch cassette scrub` writes a cassette without it")
    else:
        print("nothing looks like a secret")
    return not hits
