"""A reply of `ask` that is late is a failed attempt with the words for its step, in the outcome and in the cassette."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmbatch.call.failure import Failure
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.recording.recorder import recording
from llmbatch.cassette.store import Store
from llmbatch.client.chat import Envelope
from llmbatch.client.transport import Transport
from llmbatch.config import Config, Endpoint, resolve_model
from llmbatch.engine.protocol import Order
from llmbatch.engine.sending import Sender
from tests.support.late_server import late_server

LATE: dict[str, tuple[dict[str, Any], str]] = {
    "hang": ({"first_byte_timeout_seconds": 0.05}, "no first byte within 0.05 s (first_byte_timeout_seconds of"),
    "stall": ({"idle_timeout_seconds": 0.05}, "no further byte of the reply within 0.05 s (idle_timeout_seconds of"),
    "blanks": ({"timeout_seconds": 0.1}, "no whole reply within 0.1 s (timeout_seconds of"),
}


@pytest.mark.parametrize("how", LATE)
async def test_the_step_that_was_late_is_named_with_its_endpoint(tmp_path: Path, how: str) -> None:
    """Under the recorder too, which reads the reply before the transport does and knows other errors for its own."""
    seconds, said = LATE[how]
    with Store(tmp_path / "tape", record_mode="new_episodes") as store, recording(store):
        async with late_server() as url, Transport() as transport:
            config = Config(Path(), endpoints={"slow": Endpoint("slow", f"{url}/{how}", **seconds)})
            model = resolve_model(config, "slow/m", lambda name: None)
            body = Envelope("m", {}).around([{"role": "user", "content": "hello"}]).wire
            call = store.call(store.address("POST", model.chat_url, model.key_headers).request(body), 0, 0)

            attempted = await Sender(store, transport).send(Order(call, body, model, CaseContext("case", 0)))

            failed = store.find_failure(call.key)
            assert store.find(call.key) is None
    assert isinstance(attempted.value, Failure)
    assert attempted.value.message == f"{said} endpoint slow)"
    assert failed is not None
    assert (failed.kind, failed.message) == ("timeout", attempted.value.message)
