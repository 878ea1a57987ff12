"""What one `ask` can be besides a question and its answer: recorded from a scripted service, and replayed the same."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

import llmbatch
from tests.support.project import Project
from tests.support.scripted import ScriptedModel, said

pytestmark = pytest.mark.system

STUDY = """
from pathlib import Path
from typing import Any, Literal
from llmbatch import Answer, Ask, task

Vote = Literal["yes", "no"]
KIND = [{"id": "a", "text": "one"}]

@task(samples=KIND)
async def votes(sample: dict[str, Any], ask: Ask) -> dict[str, Any]:
    answer = await ask(Vote, "{text}?", sample, temperature=1.0, extra_body={"n": 3})
    alone = await ask(Vote, "alone?")
    assert alone.choices == [alone]
    return {
        "votes": [each.value if each.ok else str(each.failure) for each in answer.choices],
        "texts": [each.text for each in answer.choices],
        "last": answer.choices[-1].messages[-1]["content"],
    }

@task(samples=KIND)
async def streams(sample: dict[str, Any], ask: Ask) -> dict[str, Any]:
    options = {"stream": True, "stream_options": {"include_usage": True}, "n": 2}
    answer = await ask(Vote, "stream", extra_body=options)
    return {"said": [each.value for each in answer.choices]}

@task(samples=KIND)
async def breaks_off(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("cut", extra_body={"stream": True})

@task(samples=KIND)
async def looks(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    parts = [
        {"type": "text", "text": "What is on it? {text}"},
        {"type": "image_url", "image_url": {"url": Path("data/dot.png"), "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": Path("data/beep.wav"), "format": "wav"}},
        {"type": "file", "file": {"filename": "a.txt", "file_data": Path("data/a.txt")}},
    ]
    return await ask([{"role": "user", "content": parts}], max_tokens=9)

@task(samples=KIND)
async def talks(sample: dict[str, Any], ask: Ask) -> dict[str, Any]:
    first = await ask("Think of {text}.", sample)
    second = await ask("And then?", after=first)
    third = await ask("talk.md", {"text": "two"}, after=second)
    return {"roles": [turn["role"] for turn in third.messages], "texts": [turn["content"] for turn in third.messages]}

@task(samples=KIND)
async def learns(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("shots.md", {**sample, "word": "red", "is": "colour"})
"""

NOTE = "a\né".encode()
SHOTS = """---
system: Sort words.
shots:
  - user: "Word: {word}"
    assistant: "{is}"
  - user: "Word: {{x}}"
    assistant: "none"
---
Word: {text}
"""


def png() -> bytes:
    """Return an image of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x7f")) + chunk(b"IEND", b"")
    )


def event(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "model": "m", **document}).encode() + b"\n\n"


def delta(index: int, text: str | None, finish: str | None = None) -> bytes:
    said = {} if text is None else {"content": text}
    return event({"choices": [{"index": index, "delta": said, "finish_reason": finish}]})


STREAM = [
    *(delta(0, '{"value":'), delta(1, '{"val'), delta(0, ' "yes"}'), delta(1, 'ue": "no"}')),
    *(delta(1, None, "stop"), delta(0, None, "stop")),
    event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 4}}),
    b"data: [DONE]\n\n",
]


def script(path: str, body: dict[str, Any]) -> Any:
    text = body["messages"][-1]["content"]
    if body.get("stream"):
        return b"".join(STREAM[: 2 if text == "cut" else None])
    if body.get("n") == 3:
        made = [said(content)["choices"][0] for content in ('{"value":"yes"}', "maybe", '{"value":"no"}')]
        return said(None) | {"choices": [{**choice, "index": at} for at, choice in enumerate(made)]}
    if "?" in text and len(body["messages"]) == 2:
        return said('{"value":"no"}', reasoning_content="hm")
    return said(f"turn {len(body['messages'])}", reasoning_content="hm", refusal=None)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[llmbatch.Run, llmbatch.Run, list[dict[str, Any]]]:
    """The study, recorded and replayed, and what the service was asked."""
    home = tmp_path_factory.mktemp("kinds")
    with ScriptedModel(script) as model:
        project = Project(home, model.base_url)
        project.configure('model = "service/m"\nmax_retries = 0')
        project.write_experiment(STUDY)
        project.write_prompt(SHOTS, "shots.md")
        project.write_prompt("Now {text}.", "talk.md")
        data = home / "experiments" / "data"
        (data / "dot.png").write_bytes(png())
        (data / "beep.wav").write_bytes(b"RIFFbeep")
        (data / "a.txt").write_bytes(NOTE)
        recorded = llmbatch.run(home / "experiments" / "study.py", record_mode="new_episodes")
        bodies = model.bodies()
    return recorded, llmbatch.run(home / "experiments" / "study.py", record_mode="none"), bodies


Ran = tuple[llmbatch.Run, llmbatch.Run, list[dict[str, Any]]]


def row(ran: Ran, task: str) -> dict[str, Any]:
    return next(dict(each) for each in ran[0].iter_rows() if each["llmbatch_task"] == task)


def asked(ran: Ran, case: str) -> dict[str, Any]:
    """Return the body that was sent last of those whose last turn holds a text."""
    return [body for body in ran[2] if case in json.dumps(body["messages"][-1])][-1]


def test_all_of_it_replays_to_the_same_rows(ran: Ran) -> None:
    """Nothing is paid again, a stream that broke off included: what it ended in is its row."""
    recorded, replayed, _ = ran

    assert (1, 0) == (recorded.exit_code, replayed.paid)
    assert ["ok", "ok", "truncated_body", "ok", "ok", "ok"] == recorded.rows["llmbatch_status"].to_list()
    assert recorded.rows.equals(replayed.rows)


def test_each_of_several_choices_is_an_answer(ran: Ran) -> None:
    """Parsed by the same rules, for the tokens of one call."""
    found = row(ran, "votes")

    assert ["yes", "out_of_label", "no"] == found["votes"]
    assert ['{"value":"yes"}', "maybe", '{"value":"no"}'] == found["texts"]
    assert '{"value":"no"}' == found["last"]
    assert (2, 20) == (found["llmbatch_asks"], found["llmbatch_tokens_in"])


def test_a_stream_is_joined_choice_by_choice(ran: Ran) -> None:
    """Its usage is there because it was asked for: what is sent is what the author wrote."""
    found = row(ran, "streams")

    assert ["yes", "no"] == found["said"]
    assert (7, 4) == (found["llmbatch_tokens_in"], found["llmbatch_tokens_out"])
    assert {"include_usage": True} == asked(ran, "stream")["stream_options"]
    assert "stream_options" not in asked(ran, "cut")


def test_files_are_sent_as_data(ran: Ran) -> None:
    """By the media type of the suffix; audio is base64 alone, and braces in parts are braces."""
    text, image, audio, file = asked(ran, "What is on it")["messages"][-1]["content"]

    assert "What is on it? {text}" == text["text"]
    assert {"url": f"data:image/png;base64,{b64encode(png()).decode()}", "detail": "low"} == image["image_url"]
    assert {"data": b64encode(b"RIFFbeep").decode(), "format": "wav"} == audio["input_audio"]
    assert f"data:text/plain;base64,{b64encode(NOTE).decode()}" == file["file"]["file_data"]


def test_a_conversation_goes_on_as_it_was(ran: Ran) -> None:
    """One system message, the first; what the model said goes back as it came."""
    found, body = row(ran, "talks"), asked(ran, "Now two.")

    assert ["system", *["user", "assistant"] * 3] == found["roles"]
    assert ["Think of one.", "turn 2", "And then?", "turn 4", "Now two.", "turn 6"] == found["texts"][1:]
    assert {"role": "assistant", "content": "turn 4", "reasoning_content": "hm", "refusal": None} == body["messages"][4]


def test_shots_are_filled_from_the_fields(ran: Ran) -> None:
    """Earlier turns, with placeholders and braces as in any prompt."""
    turns = asked(ran, "Word: one")["messages"]

    assert [("system", "Sort words."), ("user", "Word: red"), ("assistant", "colour")] == [
        (turn["role"], turn["content"]) for turn in turns[:3]
    ]
    assert ["Word: {x}", "none", "Word: one"] == [turn["content"] for turn in turns[3:]]


TALK = """
from typing import Any
from llmbatch import Answer, Ask, task

@task(samples=[{"id": "a"}], id="id")
async def talk(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("And then?", after=await ask("First?"))

@task(samples=[{"id": "a"}], id="id")
async def mistaken(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("And then?", after="what was said")
"""


def test_a_conversation_does_not_go_on_over_a_turn_that_a_service_could_not_answer(tmp_path: Path) -> None:
    """It would be paid for without what the model had said, and be another question as soon as that is there."""
    replies: list[Any] = [503]
    with ScriptedModel(lambda path, body: replies.pop(0) if replies else said("fine")) as model:
        project = Project(tmp_path, model.base_url)
        project.configure('max_retries = 0\nmodel = "service/m"')
        project.write_experiment(TALK)
        study = f"{project.root}/experiments/study.py"
        failed = llmbatch.run(f"{study}::talk", record_mode="new_episodes")
        asked = len(model.asked)
        good = llmbatch.run(f"{study}::talk", record_mode="new_episodes")
        turns = [len(body["messages"]) for body in model.bodies()]
        with pytest.raises(llmbatch.LlmbatchError, match="after= is a str"):
            llmbatch.run(f"{study}::mistaken", record_mode="new_episodes")

    assert (1, ["server_error"]) == (asked, failed.rows["llmbatch_status"].to_list())
    assert ([2, 2, 4], ["fine"]) == (turns, good.rows["answer"].to_list())


def test_a_file_that_is_not_there_is_named_with_the_task_that_sends_it(tmp_path: Path) -> None:
    """The place inside a message says nothing of the file that the message is written in."""
    with ScriptedModel(lambda path, body: said("fine")) as model:
        project = Project(tmp_path, model.base_url)
        project.configure('model = "service/m"')
        project.write_experiment(
            TALK.partition("async def mistaken")[0]
            + """
async def looks(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    from pathlib import Path
    return await ask([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": Path("no.png")}}]}])
"""
        )
        with pytest.raises(llmbatch.LlmbatchError, match=r"no file 'no\.png'") as raised:
            llmbatch.run(project.root / "experiments" / "study.py", record_mode="new_episodes")

    assert "messages[0].content[0].image_url.url" == raised.value.place
    assert raised.value.details["task"].startswith("looks, ")
    assert "study.py:" in raised.value.details["task"]
    assert [] == model.asked
