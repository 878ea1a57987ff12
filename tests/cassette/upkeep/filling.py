"""A cassette made by hand, for tests of what looks into it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmbatch.call.values import Call, Reply
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Mode, Store

BASE_URL = "https://api.example.com/v1"
PRICES = {"service/m": {"usd_per_million_in": "1.0", "usd_per_million_out": "2.0"}}
METADATA = Metadata(endpoints={"service": BASE_URL}, prices=PRICES)


def body_of(text: str, *, model: str = "m", system: str = "Be brief.", **more: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return {"model": model, "messages": messages, **more}


def call_of(
    store: Store, body: Mapping[str, Any], *, base_url: str = BASE_URL, repeat: int = 0, ordinal: int = 0
) -> Call:
    headers = {"content-type": "application/json"}
    request = store.request("POST", f"{base_url}/chat/completions", headers, json.dumps(body).encode())
    return store.call(request, repeat, ordinal)


def reply_of(text: str = "fine", *, model: str = "m-2026", at: str = "2026-01-02T03:04:05.000006Z") -> Reply:
    document = {
        "model": model,
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }
    return Reply(200, "OK", {"content-type": ("application/json",)}, json.dumps(document).encode(), at, 1_500_000)


def fill(
    folder: Path, asked: Sequence[tuple[str | None, Mapping[str, Any]]], *, mode: Mode = "new_episodes", **more: Any
) -> list[str]:
    """Record an answer for each (case, body), and return the keys."""
    keys = []
    with Store(folder, record_mode=mode, metadata=METADATA) as store:
        for case, body in asked:
            call = call_of(store, body, **more)
            store.record(call, reply_of(f"to {case}"), case=case)
            keys.append(call.key.hex())
    return keys
