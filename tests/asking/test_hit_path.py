"""A hit never becomes an HTTP request; here it is compared with the same bytes sent through the recorder."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from llmbatch.asking.asker import Asker, Asking
from llmbatch.asking.bound import BoundAsk
from llmbatch.asking.question import Question
from llmbatch.asking.reading import answer_of
from llmbatch.call.key import call_key, canonical_body
from llmbatch.call.values import Reply
from llmbatch.cassette.address import Address
from llmbatch.cassette.aliases import Aliases
from llmbatch.cassette.case import CaseContext, current_case
from llmbatch.cassette.recording.recorder import recording
from llmbatch.cassette.scrub import Scrubber
from llmbatch.cassette.store import Store
from llmbatch.client.chat import Body, Envelope, resolve_parameters
from llmbatch.client.transport import Transport
from llmbatch.config import Endpoint, ModelSettings, ResolvedModel, Timeouts
from llmbatch.errors import AuthorError, TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.prompt import Prompts

SECRET = "not-a-real-key-but-long"


class Verdict(BaseModel):
    reasons: list[str]
    label: Literal["a", "b"]


MODEL = ResolvedModel("local/m", Endpoint("local", "http://127.0.0.1:9/v1"), "m", ModelSettings("m"))

# bodies -------------------------------------------------------------------------------------------------

texts = st.text(max_size=12) | st.sampled_from(["\ud800", "\u2028\x7f\ufeff", "1" * 25, SECRET, "é🙂\0"])
scalars = st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.floats() | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
names = st.sampled_from(["a", "messages2", "response_format", "seed", "stop", "zeta", "métier"]) | texts
messages_of_a_chat = st.lists(st.fixed_dictionaries({"role": texts, "content": json_values}), max_size=3)
shape_members = st.dictionaries(st.sampled_from(["response_format", "tools", "tool_choice"]), json_values, max_size=2)


def body_of(model: str, parameters: dict[str, Any], form: dict[str, Any], messages: list[Any]) -> Body | None:
    try:
        return Envelope(model, parameters, form).around(messages)
    except TaskError:  # NaN beside what only the slow way writes
        return None


@settings(max_examples=300, deadline=None)
@given(texts, st.dictionaries(names, json_values, max_size=4), shape_members, messages_of_a_chat)
@example("m", {"temperature": -0.0, "top_p": 1e-7, "seed": 2**64 - 1}, {}, [])
@example(
    "m",
    {"messages2": [1.0, 1e22]},
    {"response_format": {"type": "json_object"}},
    [{"role": "user", "content": "9" * 30}],
)
def test_the_canonical_body_made_beside_the_wire_bytes_is_the_one_made_from_them(
    model: str, parameters: dict[str, Any], form: dict[str, Any], messages: list[Any]
) -> None:
    """`ask` knows its members, so it does not parse its own JSON; one bit of difference would be another key."""
    parameters = {name: value for name, value in parameters.items() if name not in {"model", "messages"}}
    body = body_of(model, parameters, form, messages)

    if body is not None:
        assert canonical_body(body.wire, "application/json") == body.canonical


@settings(max_examples=100, deadline=None)
@given(texts, messages_of_a_chat)
def test_an_envelope_writes_what_the_members_in_their_order_are(text: str, messages: list[Any]) -> None:
    """The bytes are those of the whole dictionary, so no recorded key moved when envelopes came."""
    parameters = resolve_parameters({"user": text}, {"seed": 3})
    whole = {"model": "m", "messages": messages, "response_format": {"type": "text"}, **parameters}
    body = body_of("m", parameters, {"response_format": {"type": "text"}}, messages)

    try:
        assert body is not None
        assert orjson.dumps(whole) == body.wire
    except orjson.JSONEncodeError:
        assert json.dumps(whole, separators=(",", ":")).encode() == body.wire  # type: ignore[union-attr]
    except AssertionError:
        if body is not None:
            raise


@settings(max_examples=100, deadline=None)
@given(messages_of_a_chat, st.booleans())
def test_an_address_gives_the_digest_that_a_whole_request_has(messages: list[Any], with_secret: bool) -> None:
    """Method, URL and headers are scrubbed once; a body that holds a secret is keyed as it is stored."""
    said = [*messages, {"role": "user", "content": f"key: {SECRET}" if with_secret else "no key"}]
    body = body_of("m", {}, {}, said)
    if body is None:
        return
    with TemporaryDirectory() as folder:
        store = Store(Path(folder), secrets=[SECRET])
        whole = store.request("post", "HTTP://u:p@Host/v1?x=1&key=2", {"Content-Type": "application/json"}, body.wire)
    address = Address(
        Scrubber(secrets=[SECRET]), Aliases(), "POST", "HTTP://u:p@Host/v1?x=1", {"content-type": "application/json"}
    )

    assert whole.digest == address.digest(body.wire, body.canonical)
    assert SECRET.encode() not in (address.request(body.wire).body or b"")


# replies ------------------------------------------------------------------------------------------------


def completion(content: str | None, **choice: Any) -> bytes:
    message = {"role": "assistant", "content": content, **choice.pop("message", {})}
    document = {
        "model": "m-1",
        "system_fingerprint": "fp",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }
    return json.dumps(document).encode()


def reply(body: bytes, status: int = 200, content_type: str = "application/json") -> Reply:
    headers = {"content-type": (content_type,), "x-request-id": ("req-1",)}
    return Reply(status, "OK" if status == 200 else "Bad Request", headers, body, "2026-01-01T00:00:00Z", 5)


EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"{\\"reasons\\":[],"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"\\"label\\":\\"a\\"}"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)
GOOD = orjson.dumps({"reasons": ["é 🙂 \u2028"], "label": "b"}).decode()
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}

known_replies = st.sampled_from(
    [
        reply(completion(GOOD)),
        reply(completion(f"Here:\n```json\n{GOOD}\n```")),
        reply(completion(GOOD[:9], finish_reason="length")),
        reply(completion(None, message={"refusal": "No."})),
        reply(completion(None, message={"tool_calls": [CALL]})),
        reply(completion('{"reasons": 1, "label": "z"}')),
        reply(completion("")),
        reply(EVENTS, content_type="text/event-stream; charset=utf-8"),
        reply(b'{"error":{"message":"too long","code":"context_length_exceeded"}}', status=400),
        reply(b"bad", status=422, content_type="text/plain"),
        reply(b"\xff\xfe\x00 no utf-8"),
        reply(b"\x7f\xc2\x85 {"),
        reply(b""),
    ]
)
made_replies = st.builds(lambda text: reply(completion(text)), st.text(max_size=40)) | st.builds(
    reply, st.binary(max_size=40), st.sampled_from([200, 400, 413])
)


def attributes_of(answer: Answer[Any]) -> dict[str, Any]:
    said = {name: getattr(answer, name) for name in Answer.__slots__ if name not in {"_value", "_others"}}
    return {**said, "value": answer.value if answer.ok else None}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@settings(max_examples=40, deadline=None)
@given(known_replies | made_replies, st.text(max_size=20).filter(str.strip))
def test_a_hit_and_the_same_bytes_sent_through_the_recorder_bring_one_answer(recorded: Reply, text: str) -> None:
    """DESIGN: `ask` looks its key up before any HTTP; both ways give the same reply, so the same answer and row."""
    with TemporaryDirectory() as folder:
        with Store(Path(folder), record_mode="new_episodes") as store:
            question = _questions(store, text)[0]
            store.record(question.call(), recorded)
        with Store(Path(folder)) as store:
            by_hit, noted = asyncio.run(_asked(store, text))
            by_http = asyncio.run(_sent(store, question))

    assert by_http is not None
    assert (noted.status, noted.body) == (by_http.status, by_http.body)
    assert noted == by_http
    assert attributes_of(by_hit) == attributes_of(answer_of(question, by_http)[0])


def _questions(store: Store, text: str) -> tuple[Question, BoundAsk, CaseContext]:
    asker = Asker(store, Prompts([]), lambda name: MODEL)
    context = CaseContext("case", 0)
    asking = Asking(context, MODEL)
    question = asker.prepare((Verdict, "Judge {text}", {"text": text}), {}, asking)
    fresh = CaseContext("case", 0)
    return question, BoundAsk(asker, Asking(fresh, MODEL)), fresh


async def _asked(store: Store, text: str) -> tuple[Answer[Any], Reply]:
    _, ask, context = _questions(store, text)
    answer = await ask(Verdict, "Judge {text}", {"text": text})
    return answer, context.replies[0]


async def _sent(store: Store, question: Question) -> Reply | None:
    """Send the question's bytes through aiohttp under the recorder, and return the reply that the case was given."""
    context = CaseContext("case", 0)
    token = current_case.set(context)
    transport = Transport()
    try:
        with recording(store):
            await transport.post(MODEL.chat_url, question.wire, MODEL.wire_headers(), Timeouts(total=9))
    finally:
        current_case.reset(token)
        await transport.close()
    return context.replies[0] if context.replies else None


def test_options_that_are_equal_and_not_the_same_are_sent_apart() -> None:
    """1, 1.0 and True are one key of a dictionary, and three requests; so are 0.0 and -0.0, and two."""
    with TemporaryDirectory() as folder:
        asker = Asker(Store(Path(folder)), Prompts([]), lambda name: MODEL)
        sent = {
            asker.prepare(("Say it",), {"seed": seed}, Asking(CaseContext("case", 0), MODEL)).wire
            for seed in (1, 1.0, True, 1, 0.0, -0.0)
        }

    assert len(sent) == 5


def shapes() -> st.SearchStrategy[Any]:
    """Shapes of which some are made anew for each ask, so that another may come to lie where one was."""
    return st.sampled_from([lambda: Verdict, lambda: str, lambda: list[str], lambda: list[Literal["a", "b"]]])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), shapes(), st.sampled_from(["Say {x}", "Do {x}"]), texts), max_size=8))
def test_no_two_ways_of_asking_are_taken_for_one(asks: list[tuple[bool, Any, str, str]]) -> None:
    """What is kept from one ask to the next changes neither the bytes nor what the rows say of them."""
    other = replace(MODEL, name="n")
    with TemporaryDirectory() as folder:
        kept = Asker(Store(Path(folder)), Prompts([]), lambda name: MODEL)
        for is_other, shape, prompt, text in asks:
            asking = [Asking(CaseContext("case", 0), other if is_other else MODEL) for _ in range(2)]
            fresh = Asker(Store(Path(folder)), Prompts([]), lambda name: MODEL)
            try:
                expected = fresh.prepare((shape(), prompt, {"x": text}), {}, asking[0])
            except AuthorError:  # a lone surrogate
                continue
            question = kept.prepare((shape(), prompt, {"x": text}), {}, asking[1])

            assert (expected.wire, expected.key, expected.origin) == (question.wire, question.key, question.origin)


def test_the_key_of_a_question_is_that_of_its_call() -> None:
    """What a hit is looked up by is what a miss is recorded under."""
    with TemporaryDirectory() as folder:
        question = _questions(Store(Path(folder)), "x")[0]
    call = question.call()

    assert question.key == call.key == call_key(call.request.digest, 0, 0)
    assert question.digest == call.request.digest
