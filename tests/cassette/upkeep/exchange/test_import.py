"""What others recorded becomes a cassette: the same request then finds its answer, and nothing is left out unsaid."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import vcr
import yaml
from openai import AsyncOpenAI, RateLimitError

import llmbatch
from llmbatch.cassette.store import Store
from llmbatch.cli import main
from llmbatch.errors import NoAnswerRecorded
from tests.cassette.upkeep.conftest import JSON, URL, Fill
from tests.support.fault_server import FaultServer


async def asked(server: FaultServer, texts: Sequence[str], **parameters: Any) -> list[str | None]:
    """Ask as any author would, and return what was said."""
    said = []
    async with AsyncOpenAI(base_url=server.base_url, api_key="sk-of-the-author", max_retries=0) as client:
        for text in texts:
            answer = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": text}], **parameters
            )
            said.append(answer.choices[0].message.content)
    return said


async def test_what_stock_vcrpy_recorded_of_openai_is_replayed_offline(tmp_path: Path, server: FaultServer) -> None:
    """The same code, the same answers, from gzip bodies that stock vcrpy kept as they came; and no key."""
    stock = tmp_path / "old.yaml"
    with vcr.VCR().use_cassette(str(stock), record_mode="all"):
        said = await asked(server, ["one", "zwei \u2028 \U0001f600"])
        with pytest.raises(RateLimitError):
            await asked(server, ["[[429]] three"])
    assert "!!binary" in stock.read_text(encoding="utf-8")
    answered = server.truth()["answered"]

    assert 0 == main(["cassette", "import", str(stock), "--into", str(tmp_path / "new")])
    with llmbatch.Cassette(tmp_path / "new") as cassette:
        assert said == await asked(server, ["one", "zwei \u2028 \U0001f600"])
        with pytest.raises(NoAnswerRecorded, match="rate_limited"):
            await asked(server, ["[[429]] three"])
    assert answered == server.truth()["answered"]
    assert [] == cassette.verify()
    assert {"sk-of-the-author"} & set(stock.read_text(encoding="utf-8").split()) == {"sk-of-the-author"}
    assert not [path for path in (tmp_path / "new").iterdir() if b"sk-of-the-author" in path.read_bytes()]


async def test_equal_requests_of_a_stock_cassette_are_draws_in_the_order_of_the_file(
    tmp_path: Path, server: FaultServer
) -> None:
    """Stock vcrpy plays them one after another, and so does a case that asks again and again."""
    stock = tmp_path / "old.yaml"
    with vcr.VCR().use_cassette(str(stock), record_mode="all", allow_playback_repeats=False):
        said = await asked(server, ["again"] * 3, temperature=1)
    assert 3 == len(set(said))

    main(["cassette", "import", str(stock), "--into", str(tmp_path / "new")])
    with Store(tmp_path / "new") as store:
        found = {each.call.ordinal: json.loads(each.reply.body)["choices"][0]["message"]["content"] for each in store}
    assert dict(enumerate(said)) == found


def stock_file(path: Path, *pairs: tuple[dict[str, Any], dict[str, Any]]) -> Path:
    # copies: PyYAML writes an alias for what is the same object
    interactions = [deepcopy({"request": request, "response": response}) for request, response in pairs]
    document = {"interactions": interactions, "version": 1}
    path.write_text(yaml.dump(document, default_flow_style=False), encoding="utf-8")
    return path


CHAT = '{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}'
ASKED = {"method": "POST", "uri": URL, "body": '{"model":"m"}', "headers": {"Content-Type": ["application/json"]}}
FORMS: dict[str, dict[str, Any]] = {
    "text": {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": CHAT}},
    "bytes": {"status": {"code": 200, "message": None}, "headers": None, "body": {"string": CHAT.encode() + b"\n"}},
    "bare body": {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": CHAT},
    "httpx of vcrpy 5": {"status_code": 200, "http_version": "HTTP/1.1", "headers": {}, "content": CHAT},
    "gzip": {
        "status": {"code": 200, "message": "OK"},
        "headers": {"Content-Encoding": ["gzip"], "Content-Type": ["application/json"]},
        "body": {"string": gzip.compress(CHAT.encode())},
    },
    "header without a value": {
        "status": {"code": 200, "message": "OK"},
        "headers": {"content-type": [], "date": None},
        "body": {"string": CHAT},
    },
    "header as text": {
        "status": {"code": 200, "message": "OK"},
        "headers": {"content-encoding": "gzip"},
        "body": {"string": gzip.compress(CHAT.encode())},
    },
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_stock_response_is_known(name: str, tmp_path: Path) -> None:
    """vcrpy 5 to 9 wrote several; all end as the decoded body."""
    stock = stock_file(tmp_path / "old.yaml", (ASKED, FORMS[name]))
    assert 0 == main(["cassette", "import", str(stock), "--into", str(tmp_path / "new")])

    with Store(tmp_path / "new") as store:
        (found,) = store
        expected = store.request("POST", URL, JSON, b'{"model":"m"}')
    assert CHAT == found.reply.body.decode().strip()
    assert "content-encoding" not in found.reply.headers
    assert expected == found.call.request


def test_a_content_type_without_a_value_is_none(tmp_path: Path) -> None:
    """A list of nothing, where others have a list of one."""
    stock = stock_file(tmp_path / "old.yaml", ({**ASKED, "headers": {"Content-Type": []}}, FORMS["text"]))
    assert 0 == main(["cassette", "import", str(stock), "--into", str(tmp_path / "new")])

    assert [] == llmbatch.Cassette(tmp_path / "new").verify()


@pytest.mark.parametrize("body", [None, "text", b"\xff\x00", {"string": "text"}, {"string": b"\xff"}, ""])
def test_every_form_of_a_stock_request_body_is_known(body: Any, tmp_path: Path) -> None:
    """None, text, `!!binary`, and either below `string`; headers as lists or as texts."""
    request = {"method": "PUT", "uri": "http://h.example/", "body": body, "headers": {"content-type": "text/plain"}}
    stock = stock_file(tmp_path / "old.yaml", (request, FORMS["text"]))
    main(["cassette", "import", str(stock), "--into", str(tmp_path / "new")])

    inner = body["string"] if isinstance(body, dict) else body
    with Store(tmp_path / "new") as store:
        (found,) = store
    assert (inner.encode() if isinstance(inner, str) else inner) == found.call.request.body
    assert {"content-type": ("text/plain",)} == found.call.request.headers


def test_what_answered_nothing_is_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Judged as when recording: 429 and 5xx are failed attempts, and the answer behind them is draw 0."""
    busy = {"status": {"code": 429, "message": "slow"}, "headers": {}, "body": {"string": "{}"}}
    wrong = {"status": {"code": 400, "message": "no"}, "headers": {}, "body": {"string": '{"error":{"message":"x"}}'}}
    date = {**FORMS["text"], "headers": {"Date": ["Sun, 22 Nov 2026 09:30:00 GMT"]}}
    other = {**ASKED, "body": '{"model":"n"}'}
    stock = stock_file(tmp_path / "old.yaml", (ASKED, busy), (ASKED, date), (other, wrong))

    assert 0 == main(["cassette", "import", str(stock), "--into", str(tmp_path / "new")])
    assert "2 interactions and 1 failed attempt imported, 0 duplicates, 0 skipped" in capsys.readouterr().out
    with Store(tmp_path / "new") as store:
        answers, (failure,) = list(store), store.failures()
    assert [(0, 200, "2026-11-22T09:30:00Z"), (0, 400, "")] == [
        (each.call.ordinal, each.reply.status, each.reply.recorded_at) for each in answers
    ]
    assert ("rate_limited", answers[0].call.key) == (failure.kind, failure.call.key)


def test_importing_twice_changes_nothing(tmp_path: Path, fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    """The first answer wins; the same one again is a duplicate that need not be kept."""
    fill(tmp_path / "mine")
    main(["cassette", "export", str(tmp_path / "mine"), "--to", str(tmp_path / "a.jsonl"), "--failures"])
    main(["cassette", "import", str(tmp_path / "a.jsonl"), "--into", str(tmp_path / "new")])
    before = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    capsys.readouterr()

    assert 0 == main(["cassette", "import", str(tmp_path / "a.jsonl"), "--into", str(tmp_path / "new")])
    assert "0 interactions and 0 failed attempts imported, 10 duplicates, 0 skipped" in capsys.readouterr().out
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}


def test_another_answer_to_the_same_call_is_kept_as_a_duplicate(tmp_path: Path) -> None:
    """It was paid for, and serves never."""
    other = {**FORMS["text"], "body": {"string": CHAT.replace("yes", "no")}}
    for name, response in (("a.yaml", FORMS["text"]), ("b.yaml", other)):
        main(["cassette", "import", str(stock_file(tmp_path / name, (ASKED, response))), "--into", str(tmp_path / "c")])

    with Store(tmp_path / "c") as store:
        (found,), (failure,) = store, store.failures()
    assert CHAT == found.reply.body.decode()
    assert ("duplicate", True) == (failure.kind, failure.reply is not None and b"no" in failure.reply.body)


def test_what_is_skipped_is_said_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the rest is imported; the exit code says that it was not all."""
    stock = stock_file(
        tmp_path / "old.yaml",
        ({"method": "GET"}, FORMS["text"]),
        (ASKED, FORMS["text"]),
        (ASKED, {"status": {"code": "\x1b[2J"}, "headers": {}, "body": {"string": ""}}),
        (ASKED, {**FORMS["text"], "body": {"string": [1]}}),
    )
    assert 1 == main(["cassette", "import", str(stock), "--into", str(tmp_path / "new")])

    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if "skipped:" in line]
    texts = stock.read_text(encoding="utf-8").splitlines()
    begin = [number for number, text in enumerate(texts, 1) if text.startswith("- request")]
    assert [f"old.yaml:{begin[at]}" for at in (0, 2, 3)] == [line.partition(": ")[0] for line in lines]
    assert "1 interaction " in printed
    assert "\x1b" not in printed


def test_keys_are_taken_out_of_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of the project's key variables, wherever they stand; credentials in headers and addresses."""
    secret = "not-a-real-key-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    monkeypatch.chdir(tmp_path)
    request = {
        "method": "POST",
        "uri": f"https://user:pw@api.example.com/v1?api_key={secret}&x=1",
        "body": f'{{"model":"{secret}"}}',
        "headers": {"Authorization": [f"Bearer {secret}"], "Cookie": ["c"], "OpenAI-Beta": ["v2"]},
    }
    response = {"status": {"code": 200, "message": "OK"}, "headers": {"Set-Cookie": ["c"]}, "body": {"string": secret}}
    stock_file(tmp_path / "old.yaml", (request, response))

    assert 0 == main(["cassette", "import", "old.yaml", "--into", "new"])
    with Store(tmp_path / "new") as store:
        (found,) = store
    assert {"openai-beta": ("v2",)} == found.call.request.headers
    assert ("https://api.example.com/v1?x=1", b"<secret>") == (found.call.request.url, found.reply.body)
    assert not [path for path in (tmp_path / "new").iterdir() if secret.encode() in path.read_bytes()]


def test_an_exported_line_whose_key_is_not_its_own_is_skipped(
    tmp_path: Path, fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stored key is never proof; a key header that is not known here is named as the likely reason."""
    with Store(tmp_path / "mine", record_mode="new_episodes", key_headers=["x-deployment"]) as store:
        call = store.call(store.request("POST", URL, {"x-deployment": "a"}, b"{}"), 0, 0)
        store.record(call, llmbatch_reply())
    main(["cassette", "export", str(tmp_path / "mine"), "--to", str(tmp_path / "a.jsonl")])
    command = ["cassette", "import", str(tmp_path / "a.jsonl"), "--into", str(tmp_path / "new")]

    assert 1 == main(command)
    assert f"a.jsonl:1: skipped: {call.key.hex()} is not the key" in capsys.readouterr().out
    assert 0 == main([*command, "--key-header", "x-deployment"])


def llmbatch_reply() -> Any:
    from llmbatch.call.values import Reply

    return Reply(200, "OK", {}, b"x")


# OpenAI's Batch API -----------------------------------------------------------------------------------------


def json_lines(path: Path, *documents: Any) -> str:
    path.write_text("".join(json.dumps(each) + "\n" for each in documents), encoding="utf-8")
    return str(path)


def batch_request(name: str, text: str) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def batch_line(name: str, status: int, body: Any) -> dict[str, Any]:
    response = {"status_code": status, "request_id": f"req-{name}", "body": body}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None}


@pytest.mark.parametrize("base_url", ["https://api.openai.com/v1", "https://api.openai.com", "https://api.openai.com/"])
async def test_a_batchs_answers_are_replayed_to_the_same_request(tmp_path: Path, base_url: str) -> None:
    """Asked live with the same body, the request of the batch has its answer: half the price, the same cassette."""
    document = json.loads(CHAT) | {"created": 1_760_000_000, "id": "c", "object": "chat.completion", "model": "m"}
    asked_for = json_lines(tmp_path / "in.jsonl", batch_request("a", "one"), batch_request("b", "two"))
    output = json_lines(tmp_path / "out.jsonl", batch_line("b", 200, document))
    command = ["cassette", "import", output, "--into", str(tmp_path / "new")]
    assert 0 == main([*command, "--requests", asked_for, "--base-url", base_url])

    with llmbatch.Cassette(tmp_path / "new") as cassette:
        async with AsyncOpenAI(api_key="unused") as client:
            answer = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "two"}])
    (found,) = cassette
    assert "yes" == answer.choices[0].message.content
    assert ("req-b", "2025-10-09T08:53:20Z") == (found.reply.header("x-request-id"), found.reply.recorded_at)


def test_errors_of_a_batch_are_failed_attempts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the output and of the error file; what no request asked for is skipped and said."""
    requests = json_lines(tmp_path / "in.jsonl", *(batch_request(name, name) for name in "abcd"))
    expired = {"custom_id": "c", "response": None, "error": {"code": "batch_expired", "message": "too late"}}
    errors = json_lines(
        tmp_path / "errors.jsonl",
        batch_line("a", 500, {"error": {"message": "broke"}}),
        batch_line("b", 400, {"error": {"message": "bad schema"}}),
        expired,
        batch_line("x", 200, {}),
        {"no": "custom_id"},
    )

    assert 1 == main(["cassette", "import", errors, "--into", str(tmp_path / "new"), "--requests", requests])
    printed = capsys.readouterr().out
    assert "1 interaction and 2 failed attempts imported, 0 duplicates, 2 skipped" in printed
    assert "errors.jsonl:4: skipped: no request is named 'x'" in printed
    with Store(tmp_path / "new") as store:
        (refusal,), failures = store, list(store.failures())
    assert 400 == refusal.reply.status
    assert ["server_error", "timeout"] == [failure.kind for failure in failures]
    assert "batch_expired too late" == failures[1].message


def test_a_batch_without_its_requests_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An output alone does not say what was asked; a name that stands twice does not say which."""
    output = json_lines(tmp_path / "out.jsonl", batch_line("a", 200, {}))
    twice = json_lines(tmp_path / "in.jsonl", batch_request("a", "one"), batch_request("a", "two"))
    command = ["cassette", "import", output, "--into", str(tmp_path / "new")]

    no_url = [*command, "--requests", twice, "--base-url", "http://["]
    assert [4, 4] == [main([*command, "--format", "openai-batch"]), main([*command, "--requests", twice])]
    assert 4 == main(no_url)
    said = capsys.readouterr().err
    assert "--requests INPUT.jsonl" in said
    assert "in.jsonl:2" in said
    assert not (tmp_path / "new").exists()
