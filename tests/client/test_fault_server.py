"""The server the system tests lean on: deterministic, countable, and true to the schema it is given."""

from __future__ import annotations

import json
from typing import Any

import orjson

from llmbatch.call.values import Reply
from llmbatch.client.transport import Transport
from tests.support.fault_server import FaultServer, fault_at, faults_in
from tests.support.fault_server.chaos import chaos_at
from tests.support.fault_server.truth import Window

SCHEMA = {
    "type": "object",
    "properties": {
        "steps": {"type": "array", "items": {"type": "string"}},
        "category": {"enum": ["a", "b", "c"]},
        "inner": {"$ref": "#/$defs/Inner"},
    },
    "$defs": {"Inner": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 5}}}},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "X", "strict": True, "schema": SCHEMA}}


async def post(transport: Transport, server: FaultServer, text: str, **options: Any) -> Reply:
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **options})
    return await transport.post(f"{server.base_url}/chat/completions", body, {"content-type": "application/json"})


def said(reply: Reply) -> str:
    return str(json.loads(reply.body)["choices"][0]["message"]["content"])


async def test_equal_questions_get_equal_answers_and_sampled_ones_differ(server: FaultServer) -> None:
    """The body decides, and at a temperature above 0 how often it was answered."""
    async with Transport() as transport:
        cold = [await post(transport, server, "x", temperature=0.0) for _ in range(2)]
        warm = [await post(transport, server, "x", temperature=1.0) for _ in range(8)]
        server.reset()
        again = [await post(transport, server, "x", temperature=1.0) for _ in range(8)]

    assert cold[0].body == cold[1].body
    assert len({said(reply) for reply in warm}) > 1
    assert [reply.body for reply in warm] == [reply.body for reply in again]


async def test_an_answer_conforms_to_the_schema(server: FaultServer) -> None:
    """References, enumerations, lists and bounds."""
    async with Transport() as transport:
        answers = [json.loads(said(await post(transport, server, str(n), response_format=FORMAT))) for n in range(20)]

    assert {"a", "b", "c"} == {answer["category"] for answer in answers}
    assert all(3 <= answer["inner"]["n"] <= 5 for answer in answers)
    assert all(isinstance(step, str) for answer in answers for step in answer["steps"])


async def test_faults_do_not_move_the_answer(server: FaultServer) -> None:
    """A run with faults ends as one without; the truth tells them apart."""
    async with Transport() as transport:
        replies = [await post(transport, server, "[[500 x2]] x") for _ in range(4)]
    truth = server.truth()

    assert [reply.status for reply in replies] == [500, 500, 200, 200]
    assert replies[2].body == replies[3].body
    assert (truth["calls"], truth["answered"], list(truth["per_key"].values())) == (4, 2, [2])


def test_directives_are_read_in_order_with_counts_and_options() -> None:
    """A 429 is over after one; others last unless counted."""
    faults = faults_in("[[429 retry-after=0]] text [[500 x2]] [[delay=0.5]] [[html]]")

    assert faults[0].options == {"retry-after": "0"}
    names = [fault.name if (fault := fault_at(faults, attempt)) else None for attempt in range(5)]
    assert names == ["429", "500", "500", "html", "html"]
    assert fault_at(faults_in("[[delay=0.5]]"), 0) is None


async def test_logprobs_spell_the_content(server: FaultServer) -> None:
    """Joined tokens are the text, and the first alternative is the token itself."""
    async with Transport() as transport:
        reply = await post(transport, server, "x", logprobs=True, top_logprobs=3)
    tokens = json.loads(reply.body)["choices"][0]["logprobs"]["content"]

    assert said(reply) == "".join(token["token"] for token in tokens)
    assert all(len(token["top_logprobs"]) == 3 for token in tokens)


async def test_another_key_is_refused() -> None:
    """`--require-key` makes a service that knows one key."""
    with FaultServer(require_key="right") as server:
        async with Transport() as transport:
            url, body = f"{server.base_url}/chat/completions", b'{"messages":[]}'
            wrong = await transport.post(url, body, {"authorization": "Bearer wrong"})
            right = await transport.post(url, body, {"authorization": "Bearer right"})

    assert (wrong.status, right.status) == (401, 200)


def test_chaos_is_a_function_of_seed_and_body_and_leaves_every_body_an_answer() -> None:
    """A body meets at most two faults, and none after a hang, so that a few retries are enough."""
    met = {key: [chaos_at("1", str(key), attempt, share=0.5, hangs=True) for attempt in range(4)] for key in range(400)}
    again = [chaos_at("1", "7", attempt, share=0.5, hangs=True) for attempt in range(4)]
    kinds = {fault.name for faults in met.values() for fault in faults if fault is not None}

    assert met[7] == again
    assert {"429", "500", "hang", "html", "rst", "cut", "excess", "empty", "drip"} <= kinds
    assert all(faults[2:] == [None, None] for faults in met.values())
    assert all(faults[1] is None for faults in met.values() if faults[0] is not None and faults[0].name == "hang")
    assert 150 < sum(faults[0] is not None for faults in met.values()) < 250


def test_the_worst_window_is_that_of_any_moment() -> None:
    """Not of whole seconds of the clock: arrivals at 0.9 s and 1.1 s are in one window."""
    window = Window(1.0)
    for now in (0.9, 1.0, 1.1, 1.95, 3.0):
        window.arrive(now)

    assert window.most == 3


async def test_calls_and_answers_are_counted_apart_by_label(server: FaultServer) -> None:
    """What was called and what was billed, whatever else goes on."""
    async with Transport() as transport:
        for _ in range(3):
            await post(transport, server, "[[label=one]] [[500 x2]] x")
        await post(transport, server, "[[label=two]] [[bom]] x")

    assert server.truth()["labels"] == {"one": [3, 1], "two": [1, 1]}


async def test_a_dressed_answer_comes_whole(server: FaultServer) -> None:
    """Slowly, after blank lines, or with headers of one's own: the bytes of the answer are the same."""
    async with Transport() as transport:
        slow, blank = [await post(transport, server, f"[[{name}]] x") for name in ("drip", "blanks")]
        named = await post(transport, server, "[[with x-ratelimit-remaining-requests=0 content-type=text/plain]] x")

    assert all(said(reply).startswith("The ") for reply in (slow, blank, named))
    assert blank.body.startswith(b"\n\n")
    assert (named.header("x-ratelimit-remaining-requests"), named.header("content-type")) == ("0", "text/plain")
