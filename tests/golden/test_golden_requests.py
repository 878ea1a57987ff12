"""No release of a library, or of ours, moves a request without anybody noticing: bytes and keys are pinned.

Regenerate them deliberately with `python -m tests.golden.regenerate`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.call.key import call_key, canonical_body, request_digest
from llmbatch.call.values import Call, Request
from tests.golden import ask_requests, client_requests, golden_file
from tests.golden.golden_file import Golden, moved, read


def test_every_question_that_ask_can_put_has_the_bytes_it_had() -> None:
    """An upgrade of pydantic that words a schema otherwise would ask, and pay for, everything again."""
    assert "" == moved(ask_requests.FILE, ask_requests.ask_requests())


@pytest.mark.system
def test_every_call_of_the_sdk_has_the_bytes_it_had() -> None:
    """An upgrade of openai that sends one member more would as well: this says so before users pay."""
    assert "" == moved(client_requests.FILE, client_requests.client_requests())


@pytest.mark.parametrize("file", [ask_requests.FILE, client_requests.FILE])
def test_golden_keys_are_those_of_the_golden_bytes(file: str) -> None:
    """The files hold all that is in a key, and no two of their requests share one."""
    requests = read(file)[1].values()
    for each in requests:
        draw = (2, 3) if each.name == "third-draw-of-repeat-2" else (0, 0)
        headers = {name: tuple(values) for name, values in each.headers.items() if name != "content-type"}
        canonical = canonical_body(each.body.encode(), each.headers["content-type"][0])

        assert each.key == call_key(request_digest(each.method, each.url, canonical, headers), *draw).hex()
    assert len(requests) == len({each.key for each in requests}) > 8


def test_what_has_moved_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is for whoever upgrades a library and has never seen these files."""
    monkeypatch.setattr(golden_file, "FOLDER", tmp_path)
    call = Call(Request("POST", "http://a", {}, b'{"a":1}', b""), 0, 0, b"\1" * 16)
    old = [Golden.of("one", call), Golden.of("two", call, b"\xff")]
    golden_file.write("x.jsonl", ["pydantic"], old)
    (tmp_path / "x.jsonl").write_text(
        (tmp_path / "x.jsonl").read_text(encoding="utf-8").replace('"pydantic": "', '"pydantic": "0'), encoding="utf-8"
    )
    said = moved("x.jsonl", [Golden.of("one", call, b'{"a":2}'), Golden.of("three", call)])

    assert "" == moved("x.jsonl", old)
    assert "one: the body differs from character 5 on" in said
    assert "two: it is in x.jsonl and no longer made" in said
    assert "three: it is not in x.jsonl yet" in said
    assert "(pydantic 0" in said
    assert "python -m tests.golden.regenerate" in said
