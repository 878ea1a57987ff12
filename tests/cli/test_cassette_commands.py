"""`llmbatch cassette verify`, `merge`, `split` and `scrub` as a user meets them: what they say, their exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette.line import with_crc
from llmbatch.cassette.store import Store
from llmbatch.cli import main
from tests.support.lines import answer, failure, files_of, write

SHIPPED = Path(__file__).parents[2] / "cassettes" / "commit_classify"
DIGEST = "fd6125e3c200fb2e9000f80e593d0425a98d079bea750e89ea0e70838cc38548"
PROGRAM = "import sys; from llmbatch.cli import main; sys.exit(main())"
FULL_DEVICE = Path("/dev/full")
HOSTILE = "\x1b[2J\u202e"


class Say:
    """Runs a command and returns its exit code with all it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str]:
        code = main(["cassette", *map(str, arguments)])
        said = self._capsys.readouterr()
        return code, said.out + said.err


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    return Say(capsys)


def test_the_shipped_cassette_is_sound_pinned_and_without_secrets(say: Say) -> None:
    """All the checks a reader of a paper has need of, in one command."""
    code, said = say("verify", SHIPPED, "--expect-digest", DIGEST.upper(), "--secrets")

    assert (0, [f"528 interactions, content digest {DIGEST}", "nothing looks like a secret"]) == (
        code,
        said.splitlines(),
    )


def test_an_edited_body_with_a_new_checksum_is_found_by_the_digest(say: Say, tmp_path: Path) -> None:
    """P5: its key is right and its checksum is right, and yet it is not what was published."""
    folder = write(tmp_path / "c", [answer(1), answer(2)])
    _, before = say("verify", folder)
    digest = before.split()[-1]
    path = folder / "segment-00001.yaml"
    forged = with_crc(b"- ", answer(2).text[2:-18].replace(b'"yes"', b'"no!"'))
    path.write_bytes(path.read_bytes().replace(answer(2).text, forged))
    code, said = say("verify", folder, "--expect-digest", digest)

    assert 1 == code
    assert 0 == say("verify", folder)[0]
    found, expected = said.splitlines()
    assert f"expected content digest {digest}" in expected
    assert digest not in found


@pytest.mark.parametrize("digest", ["", "fd61", DIGEST[:-1] + "x", DIGEST + "0"])
def test_half_a_digest_is_refused(say: Say, digest: str) -> None:
    """A pin of eight digits pins nothing."""
    code, said = say("verify", SHIPPED, "--expect-digest", digest)

    assert (4, True) == (code, "64 hexadecimal digits" in said)


def test_repair_says_what_it_moved_and_verifies(say: Say, tmp_path: Path) -> None:
    """Then there is nothing left to do."""
    folder = write(tmp_path / "c", [answer(1), failure(1, "x")])
    path = folder / "segment-00001.yaml"
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    assert (1, True) == ((verified := say("verify", folder))[0], "--repair" in verified[1])
    code, said = say("verify", "--repair", folder)

    first, last = said.splitlines()
    assert (0, "segment-00001.yaml: moved 1 piece (9 bytes) to quarantine-00001.txt, kept 1 line") == (code, first)
    assert last.startswith("1 interaction, content digest")
    assert "nothing to repair" in say("verify", "--repair", folder)[1]


def test_a_secret_is_shown_by_place_and_never_itself(say: Say, tmp_path: Path) -> None:
    """The output is pasted into issues."""
    secret = "hf_" + "abCDefGH" * 4
    folder = write(tmp_path / "c", [answer(1, f"the token is {secret}")])
    code, said = say("verify", "--secrets", folder)

    assert 1 == code
    assert "segment-00001.yaml offset " in said
    assert "response.body: Hugging Face token hf_… (35 characters)" in said
    assert "llmbatch cassette scrub" in said
    assert secret not in said


def test_merge_tells_of_conflicts_copies_and_digests(say: Say, tmp_path: Path) -> None:
    """One line a conflict, then one a source, and the target last."""
    here = write(tmp_path / "here", [answer(1, "no"), answer(2)])
    there = write(tmp_path / "there", [answer(1, "yes"), answer(2), failure(3, "x")])
    code, said = say("merge", here, there, "--into", tmp_path / "new" / "target")
    conflict, one, other, what, failures, target = said.splitlines()

    assert 0 == code
    assert conflict.startswith("conflict: key ")
    assert f"(case task[x]::1, m1) has two answers: {here / 'segment-00001.yaml'} offset " in conflict
    assert [f"{here}: 2 interactions", f"{there}: 2 interactions"] == [line.partition(",")[0] for line in (one, other)]
    assert "1 line was there more than once; 1 second answer became duplicates; 1 conflict" == what
    assert failures.startswith("2 attempts")
    assert target.startswith(f"{tmp_path / 'new' / 'target'}: 2 interactions, content digest ")
    assert 4 == say("merge", here, "--into", here)[0]


@pytest.mark.parametrize("command", [("--by", "model"), ("--max-bytes", "400kB"), ("--max-bytes", "0.4 MB")])
def test_the_shipped_cassette_can_be_split_and_merged_again(say: Say, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Its digest is that of before, and its bytes are those of a merge of the whole."""
    code, said = say("split", SHIPPED, *command, "--into", tmp_path / "parts")
    parts = sorted((tmp_path / "parts").iterdir())
    assert (0, f"{len(parts)} parts in {tmp_path / 'parts'}") == (code, said.splitlines()[-1].partition(";")[0])
    code, said = say("merge", *reversed(parts), "--into", tmp_path / "again")
    say("merge", SHIPPED, "--into", tmp_path / "whole")

    assert (0, True) == (code, f"{DIGEST}, 1 file" in said.splitlines()[-1])
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "again")


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1TB", "1e9", "0.1"])
def test_a_size_that_is_none_is_refused(say: Say, tmp_path: Path, text: str) -> None:
    """With an example of one that is."""
    code, said = say("split", SHIPPED, f"--max-bytes={text}", "--into", tmp_path / "parts")

    assert (4, True) == (code, "95MB" in said)
    assert [] == list(tmp_path.iterdir())


def test_scrub_counts_places_and_keeps_the_value_to_itself(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret comes by a variable's name, so that it is in no shell history either."""
    secret = "canary-0123456789"
    monkeypatch.setenv("CANARY", secret)
    folder = write(tmp_path / "c", [answer(1, f"{secret} and {secret}"), answer(2)])
    code, said = say("scrub", folder, "--secret-variable", "CANARY", "--into", tmp_path / "target")

    assert (0, "2 places were replaced, in 1 line") == (code, said.splitlines()[-1])
    assert secret not in said
    assert 0 == say("verify", tmp_path / "target")[0]
    code, said = say("scrub", folder, "--secret-variable", "CANARI", "--into", tmp_path / "other")
    assert (4, True) == (code, "CANARI is not set" in said)


def test_no_command_prints_what_a_terminal_would_obey(say: Say, tmp_path: Path) -> None:
    """A case, a model and a message are a stranger's text."""
    folder = tmp_path / "c"
    with Store(folder, record_mode="new_episodes") as store:
        for number, text in enumerate(("no", "yes")):
            call = store.call(
                store.request("POST", "https://h/v1", {}, b'{"model":"\\u001b[2J","n":%d}' % number), 0, 0
            )
            store.record(call, Reply(200, "OK", {}, text.encode()), case=f"{HOSTILE}\n::{number}")
    code, said = say("scrub", folder, "--pattern", '(?<="n":)[01]', "--into", tmp_path / "scrubbed")
    said += say("split", folder, "--by", "model", "--into", tmp_path / "split")[1]

    assert (0, 1) == (code, said.count("conflict: "))
    assert not set(said) & {*"\x1b\u202e"}
    assert "␛[2J" in said


def test_an_empty_folder_is_said_to_be_one(say: Say, tmp_path: Path) -> None:
    """A mistyped path may be that of another folder."""
    code, said = say("verify", tmp_path)

    assert (0, f"{tmp_path} has no segment files: an empty cassette, or no cassette") == (code, said.splitlines()[0])


@pytest.mark.skipif(not FULL_DEVICE.exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("command", ["stats", "verify"])
def test_a_disk_that_takes_no_output_is_no_bug_of_ours(command: str) -> None:
    """Exit code 7, without a traceback, whether what is printed waits in a buffer or not."""
    with FULL_DEVICE.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "cassette", command, str(SHIPPED)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (7, True) == (done.returncode, done.stderr.startswith("DiskError: the output cannot be written")), (
        done.stderr
    )
