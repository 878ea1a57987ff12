"""A project with any number of cases, and its cassette written straight to disk: what a live run would have left.

The question of each case goes through the real `ask`, so that its key is the real one; only the service is missing.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, Literal

import orjson
from pydantic import BaseModel, TypeAdapter

from llmbatch.asking.asker import Asker, Asking
from llmbatch.asking.bound import BoundAsk
from llmbatch.call.values import Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.store import Store
from llmbatch.collect import collect
from llmbatch.engine.protocol import Order
from llmbatch.invocation.models import Models
from llmbatch.invocation.opening import make_store
from llmbatch.invocation.options import settings_of
from llmbatch.invocation.prepared import prepare
from llmbatch.prompt import Prompts
from tests.support.project import Project

LABELS = ("corrective", "adaptive", "perfective")
PROMPT_CHARACTERS = 1000
ANSWER_CHARACTERS = 1000
REPLY_HEADERS = {
    "content-type": ("application/json",),
    "x-request-id": ("req-0123456789",),
    "openai-processing-ms": ("412",),
}


def write_samples(project: Project, number: int) -> None:
    """Write so many samples of about a kilobyte, each another."""
    path = project.root / "experiments" / "data" / "commits.jsonl"
    with path.open("wb", buffering=1 << 20) as file:
        for index in range(number):
            text = f"Commit {index} of the benchmark. " + "It says what was changed, where, and why. " * 23
            sample = {"id": f"s{index:07}", "message": text[:PROMPT_CHARACTERS], "label": LABELS[index % 3]}
            file.write(orjson.dumps(sample, option=orjson.OPT_APPEND_NEWLINE))


def record_all(project: Project, model: str) -> None:
    """Fill the project's cassette with an answer of about 1.6 KB to every case of one model."""
    experiment = collect(project.root / "experiments" / "study.py")
    settings = settings_of({"model": (model,), "record_mode": "new_episodes"})
    prepared = prepare(experiment, [], settings, {})
    plan = prepared.plan
    with make_store(project.cassette, prepared.mode, plan, prepared.config, (), kind=Store) as store:
        models = Models(prepared.config, store.recorded_base_url, offline=False)
        models.of_plan(plan)
        asker = Asker(store, Prompts(experiment.base_folders), models.resolve, engine=_Direct(store))

        async def fill() -> None:
            for case in plan:
                asking = Asking(CaseContext(case.id, 0), models.of_case(case), frozenset({"label"}))
                await case.task.function(sample=case.sample.value, ask=BoundAsk(asker, asking))

        asyncio.run(fill())


class _Direct:
    """An engine that makes the answer up and records it, without a service."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._replies = _replies()

    async def obtain(self, order: Order) -> Reply:
        return self._store.record(order.call, next(self._replies), case=order.case.case_id)


def _replies() -> Iterator[Reply]:
    number = 0
    while True:
        steps = [f"Step {step} of case {number}: the message says what changed and why. " for step in range(4)]
        steps = [(step * 5)[: ANSWER_CHARACTERS // 4] for step in steps]
        said = orjson.dumps({"reasoning_steps": steps, "category": LABELS[number * 7 // 2 % 3]}).decode()
        yield Reply(200, "OK", REPLY_HEADERS, orjson.dumps(_completion(number, said)), "2026-01-01T00:00:00Z", 412_000)
        number += 1


def _completion(number: int, said: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number:020}",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "model-a-2026-01-01",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 260,
            "completion_tokens": 240,
            "total_tokens": 500,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    }


class _Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]


def _shortest() -> Callable[[], object]:
    """Return a function that does for one case what no harness can leave out: fill in, key, check, parse, validate."""
    validate = TypeAdapter(_Verdict).validator.validate_json
    recorded = next(_replies()).body
    response = orjson.dumps({"status": {"code": 200}, "body": {"string": recorded.decode()}})
    sample = orjson.dumps({"id": "s", "message": "It says what was changed. " * 40, "label": LABELS[0]})
    line = response + b"x" * 2000

    def shortest() -> object:
        text = f"Why was this commit made?\n\n{orjson.loads(sample)['message']}\n"
        messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": text}]
        body = orjson.dumps({"max_tokens": 500, "messages": messages, "model": "m", "temperature": 0.0})
        blake2b(body, digest_size=16).digest()
        zlib.crc32(line)
        document = orjson.loads(orjson.loads(response)["body"]["string"])
        return validate(document["choices"][0]["message"]["content"])

    return shortest


SHORTEST = _shortest()
