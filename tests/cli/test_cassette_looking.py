"""Looking into a cassette, and comparing it with its experiment, from the command line: what is said, and its code."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from llmbatch.cassette.lock import Lock
from llmbatch.cassette.store import Store
from llmbatch.cli import main
from tests.cassette.upkeep.filling import BASE_URL, METADATA, body_of, call_of, fill, reply_of

ROOT = Path(__file__).parents[2]
SHIPPED = "cassettes/commit_classify"
FILE = "experiments/commit_classify.py"
CASE = "commit_classify[qwen2.5-coder-0.5b-bare]::c001"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped experiment that may be changed."""
    for name in ("cassettes", "experiments", "prompts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)


class Said:
    """Runs a command and gives its exit code and all that it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str]:
        code = main(["cassette", *arguments])
        out, err = self._capsys.readouterr()
        return code, out + err


def change(path: str, old: str, new: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new), encoding="utf-8")


# stats -----------------------------------------------------------------------------------------------------


def test_the_numbers_of_the_shipped_cassette(project: Path, said: Said) -> None:
    """By folder or by experiment file; for people and for machines."""
    code, text = said("stats", SHIPPED)
    _, same = said("stats", FILE)
    json_code, document = said("stats", SHIPPED, "--json")

    assert 0 == code == json_code
    assert text.replace(SHIPPED, "") in same.replace(str(project / SHIPPED), "")
    for part in ("528", "1.5 MB in files: 1 segment", "110,872 in, 38,044 out", "status            200: 528"):
        assert part in text
    found = json.loads(document)
    assert (528, {"200": 528}, None) == (found["interactions"], found["statuses"], found["total"]["cost_usd"])
    assert {"local", "local-small"} == {model["endpoint"] for model in found["models"]}
    assert {132} == {used["interactions"] for used in found["variants"].values()}


def test_costs_are_those_of_the_recorded_prices(tmp_path: Path, said: Said) -> None:
    """100 tokens in at a dollar a million, 10 out at two; what has no price is said to have none."""
    fill(tmp_path, [("t::1", body_of("1")), ("t::2", body_of("2"))])
    _, priced = said("stats", str(tmp_path))
    fill(tmp_path, [("t::3", body_of("3", model="other"))])
    _, mixed = said("stats", str(tmp_path))

    assert "0.0002 US dollars" in priced
    assert "1 interactions have no recorded price" in mixed


@pytest.mark.parametrize("command", [["stats"], ["show", "abcd"]])
def test_a_damaged_cassette_and_a_folder_that_is_none_are_said(tmp_path: Path, said: Said, command: list[str]) -> None:
    """File, offset and the next step; exit code 4."""
    name, *rest = command
    fill(tmp_path / "study", [("t::1", body_of("1"))])
    with (tmp_path / "study" / "segment-00001.yaml").open("ab") as stream:
        stream.write(b"- rubbish\n")

    code, text = said(name, str(tmp_path / "study"), *rest)
    missing, which = said(name, str(tmp_path / "nothing"), *rest)

    assert 4 == code == missing
    assert "CassetteDamaged" in text
    assert "segment-00001.yaml" in text
    assert "there is no cassette at" in which


# show ------------------------------------------------------------------------------------------------------


def test_an_interaction_is_shown_turn_by_turn(project: Path, said: Said) -> None:
    """By key, its beginning, or the case."""
    code, text = said("show", SHIPPED, CASE)
    key = re.findall(r"interaction ([0-9a-f]{32})", text)[0]

    assert 0 == code
    assert (0, text) == said("show", SHIPPED, key[:8])
    for part in (
        f"  case              {CASE}",
        "request  POST http://127.0.0.1:18093/v1/chat/completions",
        "  temperature       0.0",
        "  [system]\n    You sort commits of software projects by the purpose of the change.\n  [user]\n    Sort",
        "response  200 OK\n  model             qwen2.5-coder-0.5b\n  finish_reason     stop",
        "  [assistant]\n    {",
    ):
        assert part in text


def test_the_raw_line_is_json(project: Path, said: Said) -> None:
    """For `jq` and the like."""
    code, text = said("show", SHIPPED, "--raw", CASE)

    assert 0 == code
    assert CASE == json.loads(text)["case"]


def test_two_interactions_are_compared_field_by_field(project: Path, said: Said) -> None:
    """Texts line by line; the other one may stand behind a flag."""
    code, text = said("show", SHIPPED, CASE, CASE.replace("bare", "cot"))
    _, same = said("show", SHIPPED, CASE, CASE)

    assert 0 == code
    assert "  response_format.json_schema.name" in text
    assert "user message\n  line 9\n    - Answer with the category.\n    + First give" in text
    assert "no difference between" in same
    assert 0 == said("show", SHIPPED, CASE, "--raw", CASE.replace("bare", "cot"))[0]


def test_what_a_stranger_wrote_gives_no_orders_to_the_terminal(tmp_path: Path, said: Said) -> None:
    """Escape sequences, bidirectional controls and lines that look like ours are shown, not obeyed."""
    evil = "\x1b]0;owned\x07\x9b31m\u202eabc\r"
    fill(tmp_path, [(f"t::{evil}", body_of(evil, model=evil, system=evil))])
    with Store(tmp_path, record_mode="new_episodes", metadata=METADATA) as store:
        call = call_of(store, body_of("x"))
        store.record(call, reply_of(evil, model=evil), case=f"u::{evil}")

    printed = [said("stats", str(tmp_path)), said("show", str(tmp_path), "t::"), said("show", str(tmp_path), "u::")]
    printed += [said("show", str(tmp_path), "t::", "u::"), said("show", str(tmp_path), "u::", "--raw")]

    assert {0} == {code for code, _ in printed}
    assert [] == [text for _, text in printed if re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)]


def test_a_failed_attempt_and_a_generation_are_told(tmp_path: Path, said: Said) -> None:
    """What does not answer says so."""
    fill(tmp_path, [("t::1", body_of("1"))])
    fill(tmp_path, [("t::1", body_of("1"))], mode="all")
    with Store(tmp_path, record_mode="new_episodes", metadata=METADATA) as store:
        store.record_failure(call_of(store, body_of("1")), "timeout", "no answer in 60 s", case="t::1")

    _, text = said("show", str(tmp_path), "t::1")

    assert 1 == text.count("answers           no: another line of this key does, or its generation is not complete")
    assert "failed attempt " in text
    assert "timeout: no answer in 60 s" in text
    assert "response  none came" in text


# why -------------------------------------------------------------------------------------------------------


def test_a_changed_prompt_is_one_reason_with_its_line(project: Path, said: Said) -> None:
    """Two variants, 264 cases, one line."""
    assert (0, f"commit_classify: all 528 cases are answered by {SHIPPED}\n") == said("why", FILE, "-q")
    change("prompts/commit_classify.md", "repairs a fault", "mends a fault")

    code, text = said("why", FILE, "-q")

    assert 1 == code
    assert "264 of 528 cases have no answer" in text
    assert "264 calls: user message, line 3 differs" in text
    assert "commit_classify[qwen2.5-coder-1.5b-bare]  (132)" in text
    assert '"- corrective: repairs a fault' in text
    assert f"llmbatch exp {FILE}" in text


def test_the_next_step_asks_what_was_explained(project: Path, said: Said) -> None:
    """With the flags that were given; and where nothing is recorded, there is nothing to take back."""
    flags = ("--repeat", "2", "--limit", "1")
    (project / "empty folder").mkdir()

    _, more = said("why", FILE, "-q", *flags)
    _, elsewhere = said("why", FILE, "-q", "--cassette", "empty folder", *flags)

    assert "  keep  " in more
    assert more.endswith(f"llmbatch exp {FILE} --limit 1 --repeat 2\n")
    assert "  keep  " not in elsewhere
    assert elsewhere.endswith(f"llmbatch exp {FILE} --cassette 'empty folder' --limit 1 --repeat 2\n")


def test_one_case_is_explained_in_full(project: Path, said: Said) -> None:
    """By its id, or as in `show`; the flag may stand before it."""
    change("prompts/commit_classify.md", "repairs a fault", "mends a fault")
    change("prompts/commit_classify.md", "by the purpose", "by purpose")

    code, text = said("why", FILE, "-q", CASE)
    near_code, near = said("why", FILE, "-q", CASE.replace("qwen", "qwem"))

    assert 1 == code
    assert "1 of 1 cases have no answer" in text
    assert "  line 3\n    - - corrective: repairs a fault" in text
    assert "system prompt\n    - You sort commits of software projects by the purpose" in text
    assert (4, True) == (near_code, CASE in near)


def test_another_address_is_told_with_its_remedy(project: Path, said: Said) -> None:
    """Nothing else differs, so that an alias is enough."""
    change("pyproject.toml", "127.0.0.1:18092", "127.0.0.1:28092")

    _, text = said("why", FILE, "-q")

    assert "264 calls: recorded under another address" in text
    assert "host: 127.0.0.1:18092 -> 127.0.0.1:28092" in text
    assert "alias" in text


def test_only_some_misses_are_looked_into_and_all_are_counted(project: Path, said: Said) -> None:
    """Of a million, a thousand tell as much."""
    change("prompts/commit_classify.md", "repairs a fault", "mends a fault")

    _, text = said("why", FILE, "-q", "--most", "5")

    assert "264 not recorded" in text
    assert "10 of 264; --most N looks into more" in text
    assert "10 calls: user message, line 3 differs" in text


def test_an_offline_run_names_why(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next step of whoever finds rows without an answer."""
    change("prompts/commit_classify.md", "repairs a fault", "mends a fault")

    code = main(["exp", FILE, "--offline", "-q"])

    assert 1 == code
    assert f"`llmbatch cassette why {FILE}`" in capsys.readouterr().err


# prune -----------------------------------------------------------------------------------------------------


def state_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_cassette_that_is_asked_for_whole_has_nothing_to_prune(project: Path, said: Said) -> None:
    """Every answer that a replay takes is heard of: one that is not would be taken out."""
    before = state_of(project / "cassettes")

    code, text = said("prune", FILE, "-q", "--apply")

    assert 0 == code
    assert "still asked       528 interactions" in text
    assert "no longer         0 interactions, 0 B" in text
    assert before == state_of(project / "cassettes")


def test_what_is_no_longer_asked_is_shown_first_and_taken_out_on_request(project: Path, said: Said) -> None:
    """A variant that is gone, a sample that is gone; what stays replays to the same rows."""
    change(FILE, '"local/qwen2.5-coder-1.5b", ', "")
    samples = Path("experiments/data/commits.jsonl")
    lines = samples.read_text(encoding="utf-8").splitlines(keepends=True)
    samples.write_text("".join(lines[:-2]), encoding="utf-8")
    before = state_of(project / "cassettes")

    code, text = said("prune", SHIPPED, "--experiment", FILE, "-q")
    assert 0 == code
    assert before == state_of(project / "cassettes")
    assert "still asked       260 interactions" in text
    assert re.search(r"1\.5b-bare\] +the variant is no longer in the experiment +132", text)
    assert re.search(r"0\.5b-cot\] +its sample is no longer there +2 ", text)
    assert "the same command with --apply takes it out" in text

    code, text = said("prune", FILE, "-q", "--apply")
    assert 0 == code
    [aside] = project.glob("cassettes/commit_classify-pruned-*")
    assert f"a cassette: cassettes/{aside.name}" in text
    assert (0, 0) == (said("verify", SHIPPED)[0], said("verify", str(aside))[0])
    with Store(project / SHIPPED) as store, Store(aside) as other:
        assert (260, 268) == (len(store), len(other))
    assert (0, f"commit_classify: all 260 cases are answered by {SHIPPED}\n") == said("why", FILE, "-q")


def test_nothing_is_taken_out_while_it_is_not_known_what_is_asked(project: Path, said: Said) -> None:
    """A case that stops at a miss does not come to its later asks; who knows better may say so."""
    change("prompts/commit_classify.md", "repairs a fault", "mends a fault")
    before = state_of(project / "cassettes")

    code, text = said("prune", FILE, "-q", "--apply")
    assert 4 == code
    assert "264 calls have no recorded answer" in text
    assert "--even-with-misses" in text
    assert before == state_of(project / "cassettes")

    code, text = said("prune", FILE, "-q", "--apply", "--even-with-misses", "--delete")
    assert 0 == code
    assert "the case asks otherwise now" in text
    assert "no copy is kept" in text
    assert ["commit_classify"] == [path.name for path in (project / "cassettes").glob("commit_classify*")]


def test_a_task_that_fails_is_a_doubt_too(project: Path, said: Said) -> None:
    """What it would have asked is not known, though nothing was missed."""
    change(
        FILE,
        "    return await ask(shape",
        '    if sample["id"] == "c001":\n        raise ValueError\n    return await ask(shape',
    )

    code, text = said("prune", FILE, "-q", "--apply")

    assert 4 == code
    assert "4 cases end in task_error" in text


@pytest.mark.parametrize(
    ("arguments", "said_of_it"),
    [
        (["prune", SHIPPED], "--experiment FILE"),
        (["prune", SHIPPED, "--experiment", f"{FILE}::commit_classify"], "pruning is of a whole experiment"),
        (["prune", FILE, "--delete"], "add --apply"),
        (["prune", "experiments/nothing.py"], "there is no cassette"),
        (["why", "experiments/nothing.py"], "nothing.py"),
        (["why", FILE, "--most", "0"], "whole number"),
        (["why", FILE, "--repeat", "0"], "whole number"),
    ],
)
def test_a_mistake_is_an_error_with_the_next_step(
    project: Path, said: Said, arguments: list[str], said_of_it: str
) -> None:
    """Exit code 4."""
    code, text = said(*arguments)

    assert 4 == code
    assert said_of_it in text


def test_the_experiment_of_another_cassette_takes_nothing_out(project: Path, said: Said) -> None:
    """A slip of the keyboard must not cost a cassette."""
    fill(project / "cassettes" / "other", [("t::1", body_of("1"))], base_url=BASE_URL)

    code, text = said("prune", "cassettes/other", "--experiment", FILE, "-q", "--apply", "--even-with-misses")

    assert 4 == code
    assert "asks for nothing that is recorded in cassettes/other" in text


def test_a_cassette_that_is_being_written_is_not_pruned(project: Path, said: Said) -> None:
    """The lock is taken before the replay; a dry run needs none."""
    lock = Lock(project / SHIPPED).take()
    try:
        assert 0 == said("prune", FILE, "-q")[0]
        code, text = said("prune", FILE, "-q", "--apply")
    finally:
        lock.release()

    assert (4, True) == (code, "CassetteLocked" in text)


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (["verify", "--foo", "x"], "llmbatch cassette verify --help"),
        (["stats", SHIPPED, "--jsn"], "write --json"),
        (["show", SHIPPED, "a", "b", "c"], "llmbatch cassette show --help"),
        (["shw"], "write show"),
    ],
)
def test_a_mistyped_flag_is_looked_up_in_its_own_command(
    project: Path, said: Said, arguments: list[str], fix: str
) -> None:
    """A flag of another command is no help."""
    code, text = said(*arguments)

    assert 4 == code
    assert fix in text
