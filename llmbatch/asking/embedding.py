"""One text to one vector: the question that is put for it, and the vector in its reply. Sends nothing."""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from llmbatch.asking.question import Manner, Question
from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.key import call_key
from llmbatch.call.values import Reply
from llmbatch.cassette.address import Address
from llmbatch.cassette.case import CaseContext
from llmbatch.client.chat import Envelope
from llmbatch.config import ResolvedModel
from llmbatch.errors import TaskError
from llmbatch.experiment.answer import Origin
from llmbatch.parse.body import load_body
from llmbatch.parse.shape import shape_of
from llmbatch.policy import verdict_of_reply

_ENCODING = "float"
"""What is asked for: base64 would be a third of the size, and some services refuse it."""


def checked_texts(texts: object) -> list[str]:
    """Return the texts. Raises TaskError for anything but a sequence of str."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        fix = "give a list of texts: ask.embed([text])"
        raise TaskError(f"ask.embed got a {type(texts).__name__}, not a list of texts", fix=fix)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            what = f"item {number} of what ask.embed got is a {type(text).__name__}, not a text"
            raise TaskError(what, fix="give texts alone, in the order in which the vectors are wanted")
    return list(texts)


def check_no_options(options: Collection[str]) -> None:
    """Raise TaskError for an option: what is sent beside a text is the model's, the same for all its texts."""
    for name in options:
        fix = f"write it beside the model in the configuration: defaults = {{ {name} = ... }}"
        raise TaskError(f"ask.embed has no option `{name}`", known="model", fix=fix)


def embedding_manner(model: ResolvedModel, address: Address) -> Manner:
    """Return how texts are put to a model. Its own defaults (`dimensions`) are sent, its endpoint's are for chat."""
    parameters = {**model.settings.defaults, "encoding_format": _ENCODING}
    url, shape = model.embeddings_url, shape_of(str)
    return Manner(model, shape, "text", parameters, Envelope(model.name, {}), address, model.qualified, "", url=url)


def embedding_question(text: str, manner: Manner, case: CaseContext) -> Question:
    """Return the question for one text, which is draw 0 however often it is put. Raises TaskError."""
    try:
        wire = orjson.dumps({"model": manner.model.name, "input": text, **manner.parameters})
    except TypeError as error:
        fix = "leave out lone surrogates, which UTF-8 cannot carry"
        raise TaskError(f"a text for ask.embed has no JSON form: {error}", fix=fix) from None
    digest = manner.address.digest(wire)
    return Question(
        manner,
        Origin(manner.model.text, None, manner.parameters),
        [],
        wire,
        digest,
        case.repeat,
        0,
        call_key(digest, case.repeat, 0),
        0,
    )


def vector_in(reply: Reply, url: str) -> list[float] | Failure:
    """Return the vector of a reply, sent as numbers or in base64 (little-endian, 32 bits each). Never raises."""
    if reply.status >= 400:
        verdict = verdict_of_reply(reply, url=url)
        return Failure(verdict.kind or FailureKind.BAD_REQUEST, verdict.message, f"http_{reply.status}")
    document = load_body(reply.body)
    if isinstance(document, Failure):
        return document
    data = document.get("data") if isinstance(document, Mapping) else None
    first = data[0] if isinstance(data, list) and data else None
    vector = first.get("embedding") if isinstance(first, Mapping) else None
    found = _unpacked(vector) if isinstance(vector, str) else _numbers(vector)
    return found or Failure(FailureKind.NOT_API, "the reply is JSON, but there is no vector in it")


def _numbers(vector: Any) -> list[float] | None:
    if not isinstance(vector, list) or not all(type(number) in (float, int) for number in vector):
        return None
    return [float(number) for number in vector]


def _unpacked(text: str) -> list[float] | None:
    try:
        packed = b64decode(text, validate=True)
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    except (binascii.Error, ValueError, struct.error):
        return None
