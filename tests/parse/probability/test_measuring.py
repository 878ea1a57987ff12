"""Labels are found among the tokens of replies as services really write them."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from llmbatch.errors import TaskError
from llmbatch.parse.probability import Measured, closed_field, measure
from llmbatch.parse.probability.aligning import place_tokens
from llmbatch.parse.probability.fields import closed_paths
from llmbatch.parse.probability.locating import span_of
from llmbatch.parse.probability.tokens import read_tokens
from llmbatch.parse.shape import shape_of
from llmbatch.parse.stream import join_stream


class Colour(Enum):
    RED = "red"
    GREEN = "grün"


class Item(BaseModel):
    colour: Colour
    note: str = ""


class Answered(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    thoughts: str
    final_label: Annotated[Literal["bug", "style"], Field(alias="finalLabel")]
    items: list[Item]
    choice: Item | None = None


def token(
    text: str | bytes, probability: float = 1.0, others: dict[str | bytes, float] | None = None
) -> dict[str, Any]:
    def one(said: str | bytes, chance: float) -> dict[str, Any]:
        raw = said.encode() if isinstance(said, str) else said
        return {"token": raw.decode("utf-8", "replace"), "bytes": list(raw), "logprob": math.log(chance)}

    listed = [one(text, probability), *(one(*each) for each in (others or {}).items())]
    return listed[0] | {"top_logprobs": listed}


def document(*tokens: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"logprobs": {"content": list(tokens)}}]}


def probabilities(reply: dict[str, Any], text: str, shape: Any, path: str) -> dict[str, float]:
    found = measure(reply, text, closed_field(shape_of(shape), path), 20)
    assert isinstance(found, Measured), found
    return dict(zip(found.field.labels, found.spread.attributed, strict=True))


TEXT = '{"thoughts": "label: bug", "finalLabel": "bug", "items": [{"colour": "red"}]}'
HEAD, TAIL = TEXT[: TEXT.index('"bug",')], '", "items": [{"colour": "red"}]}'
LABEL = token("bug", 0.7, {"sty": 0.2, "b": 0.05})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], []),
        (["```json\n"], ["\n```", "<|im_end|>"]),
        (["<think>", "A bug, or a style?", "</think>", "\n\n"], [""]),
        (["<|channel|>", "final", "<|message|>"], ["<|return|>"]),
    ],
)
def test_tokens_that_do_not_show_in_the_text_are_passed_over(before: list[str], after: list[str]) -> None:
    """A fence under a grammar, thoughts in a member of their own, marks of the chat format."""
    tokens = [token(HEAD), token('"'), LABEL, token(TAIL)]
    reply = document(*map(token, before), *tokens, *map(token, after))

    assert {"bug": 0.75, "style": 0.2} == pytest.approx(probabilities(reply, TEXT, Answered, "final_label"))


def test_hidden_tokens_in_the_middle_of_an_answer_are_passed_over() -> None:
    """A mark between the head and the label is in the tokens alone."""
    reply = document(token(HEAD), token("<|mark|>"), token('"'), LABEL, token(TAIL))

    assert {"bug": 0.75, "style": 0.2} == pytest.approx(probabilities(reply, TEXT, Answered, "final_label"))


@pytest.mark.parametrize(
    "text", [f"```json\n{TEXT}\n```", f"So: {TEXT}", f"<think>{TEXT}</think>{TEXT}", f"{TEXT[:-1]},}}"]
)
def test_the_label_is_found_where_the_answer_is_taken_from(text: str) -> None:
    """In a fence, in prose, behind thoughts, and in JSON with a trailing comma."""
    at = text.rindex(HEAD) + len(HEAD) + 1
    reply = document(token(text[:at]), LABEL, token(text[at + 3 :]))

    assert {"bug": 0.75, "style": 0.2} == pytest.approx(probabilities(reply, text, Answered, "final_label"))


@pytest.mark.parametrize("space", ["▁", "Ġ"])
def test_tokens_that_are_written_as_a_vocabulary_has_them_are_read_as_text(space: str) -> None:
    """SentencePiece writes a space as U+2581; byte-level BPE has letters for all bytes."""
    tokens = [token(f"So:{space}"), token("\n" if space == "▁" else "Ċ")]
    tokens += [token("Gr", 0.5, {f"{space}red": 0.2}), token("ün" if space == "▁" else "Ã¼n"), token("")]

    assert {"red": 0.2, "grün": 0.5} == pytest.approx(probabilities(document(*tokens), "So: \nGrün", Colour, "answer"))


def test_a_character_that_is_split_over_tokens_is_put_together() -> None:
    """The label parts inside of a character: C3 BC is ü, C3 A9 would be é."""
    tokens = [
        token("gr", 0.9, {"red": 0.05}),
        token(b"\xc3", 0.8, {"een": 0.1}),
        token(b"\xbc", 0.6, {b"\xa9": 0.3}),
        token("n"),
    ]
    found = probabilities(document(*tokens, token("")), "grün", Colour, "answer")

    assert {"red": 0.05, "grün": 0.9 * 0.8 * 0.6} == pytest.approx(found)


def test_bytes_that_a_service_does_not_tell_are_taken_from_the_text_and_what_is_beside_them_is_left_open() -> None:
    """vLLM gives U+FFFD for a piece of a character; whatever was listed as that may be anything."""
    unknown = {"token": "\ufffd", "bytes": list("\ufffd".encode()), "logprob": math.log(0.5)}
    other = {"token": "\ufffd", "bytes": list("\ufffd".encode()), "logprob": math.log(0.25)}
    tokens = [
        token("gr", 0.9, {"red": 0.1}),
        unknown | {"top_logprobs": [unknown, other]},
        unknown | {"top_logprobs": [unknown]},
    ]
    found = measure(document(*tokens, token("n"), token("")), "grün", closed_field(shape_of(Colour), "answer"), 20)
    assert isinstance(found, Measured), found

    assert (0.1, 0.9 * 0.5 * 0.5) == pytest.approx(found.spread.attributed)
    assert 0.9 * 0.25 + 0.9 * 0.25 + 0.9 * 0.5 * 0.5 == pytest.approx(found.spread.unlisted)


def test_a_byte_token_is_the_byte_it_names() -> None:
    """As SentencePiece falls back to bytes."""
    tokens = [token("gr", 0.9, {"red": 0.1}), token("<0xC3>"), token("<0xBC>"), token("n"), token("</s>")]

    assert {"red": 0.1, "grün": 0.9} == pytest.approx(probabilities(document(*tokens), "grün", Colour, "answer"))


def test_another_token_of_the_same_bytes_is_not_taken_for_the_one_that_was_written() -> None:
    """After it the model may go on otherwise: where several labels are left, its share is undecided."""
    said = token("gr", 0.5, {"red": 0.2})
    said["top_logprobs"].append(said["top_logprobs"][0] | {"logprob": math.log(0.3)})
    tokens = [said, token("ün", 0.6, {"ow": 0.4}), token("")]
    found = measure(document(*tokens), "grün", closed_field(shape_of(Literal["red", "grün", "grow"]), "answer"), 20)
    assert isinstance(found, Measured), found

    assert (0.2, 0.3, 0.2) == pytest.approx(found.spread.attributed)
    assert 0.3 == pytest.approx(found.spread.undecided)


def test_a_word_with_line_breaks_behind_it_without_end_is_measured_all_the_same() -> None:
    """A model that writes them until max_tokens is no reason to fail."""
    tail = [token("\n", 0.99, {"x": 0.01})] * 3000
    found = measure(
        document(token("yes", 0.5, {"no": 0.4}), *tail),
        "yes" + "\n" * 3000,
        closed_field(shape_of(Literal["yes", "no"]), "answer"),
        20,
    )
    assert isinstance(found, Measured), found

    assert 0.4 == pytest.approx(found.spread.attributed[1])
    assert 0.0 < found.spread.attributed[0] < 0.5


def test_a_text_that_no_utf8_can_hold_is_measured_or_refused_and_never_raises() -> None:
    """Half a pair of surrogates may stand in an answer."""
    field = closed_field(shape_of(Literal["yes", "no"]), "answer")

    assert isinstance(measure(document(token("yes", 0.5, {"no": 0.4})), "\ud800\nyes", field, 20), Measured | str)


class Aliased(BaseModel):
    label: Annotated[
        Literal["corrective", "adaptive"],
        Field(json_schema_extra={"label_aliases": {"bugfix": "corrective"}, "label_match": ["case"]}),
    ]


def test_other_words_for_a_label_count_as_it_and_what_must_not_differ_does_not() -> None:
    """By the rules of the place: an alias in any case, and no spaces."""
    tokens = [token('{"label": "'), token("Bug", 0.5, {"corr": 0.2, "adapt": 0.1, " corr": 0.1}), token('fix"}')]
    text = '{"label": "Bugfix"}'

    assert {"corrective": 0.7, "adaptive": 0.1} == pytest.approx(
        probabilities(document(*tokens), text, Aliased, "label")
    )


def test_a_place_is_named_by_field_or_alias_at_any_depth() -> None:
    """What the model writes is the alias; what an author thinks of is the field."""
    shape = shape_of(Answered)

    assert ["final_label", "items[0].colour", "choice.colour"] == closed_paths(shape)
    assert ("finalLabel",) == closed_field(shape, "finalLabel").keys == closed_field(shape, "final_label").keys
    assert ("items", 12, "colour") == closed_field(shape, "items[12].colour").keys
    with pytest.raises(TaskError, match="is no field"):
        closed_field(shape, "items.colour")


def test_the_logprobs_of_a_stream_are_those_of_its_events_together() -> None:
    """Each event has the tokens of its piece."""
    events = [
        {"choices": [{"index": 0, "delta": {"content": each["token"]}, "logprobs": {"content": [each]}}]}
        for each in (token("y", 0.5, {"no": 0.4}), token("es"))
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": None}]})
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"

    assert {"yes": 0.5, "no": 0.4} == pytest.approx(
        probabilities(join_stream(body), "yes", Literal["yes", "no"], "answer")
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def paths_in(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in paths_in(inner, (*path, key))]
    if isinstance(value, list):
        return [found for place, inner in enumerate(value) for found in paths_in(inner, (*path, place))]
    return [(path, value)]


@settings(max_examples=100)
@given(json_values, st.sampled_from([None, 1]), st.booleans())
def test_every_scalar_of_a_document_is_found_where_it_stands(value: Any, indent: int | None, ascii_only: bool) -> None:
    """Whatever its keys, its depth and the spaces between."""
    source = json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    for path, scalar in paths_in(value):
        span = span_of(source, path)
        assert span is not None
        said = source[span.start : span.end]
        assert scalar == json.loads(f'"{said}"' if isinstance(scalar, str) else said)
        assert source[span.opens : span.start].strip() in ("", '"')


@settings(max_examples=200)
@given(st.lists(st.tuples(st.binary(max_size=3), st.booleans()), max_size=12), st.text(max_size=12), st.data())
def test_tokens_are_laid_beside_every_text_that_they_spell(
    noise: list[tuple[bytes, bool]], text: str, data: st.DataObject
) -> None:
    """Cut anywhere, with anything before and after: what is laid beside a text spells it, byte by byte."""
    content = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    around = [[each for each, is_before in noise if is_before], [each for each, is_before in noise if not is_before]]
    tokens = read_tokens(document(*map(token, [*around[0], *pieces, *around[1]])))
    placed = place_tokens(tokens or (), text)

    if content and all("\ufffd".encode() not in each for each in [*around[0], *pieces, *around[1]]):
        assert placed is not None
        for one in placed:
            begin, end = max(one.start, 0), min(one.end, len(content))
            assert content[begin:end] == (one.token.said.spelled or b"")[begin - one.start : end - one.start]


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.floats() | st.text(max_size=3) | st.booleans(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "logprobs", "content", "token", "bytes", "logprob", "top_logprobs", "prob"]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_no_nonsense_in_a_reply_raises(value: Any) -> None:
    """A service may write anything: there are numbers, or a reason why there are none."""
    field = closed_field(shape_of(Literal["yes", "no"]), "answer")

    for reply in (value, {"choices": [{"logprobs": {"content": value}}]}, {"choices": [{"logprobs": value}]}):
        assert isinstance(measure(reply, "yes", field, 20), Measured | str)


class Perhaps(BaseModel):
    verdict: Literal["bug", "style"] | None


@pytest.mark.parametrize("quote", [' "', '"'])
def test_a_quote_that_rules_out_null_is_a_token_of_the_label(quote: str) -> None:
    """Where it stands apart, null was as possible as what the quote begins, and is gone behind it."""
    space = quote[:-1]
    reply = document(
        token('{"verdict":' + (" " if not space else "")),
        token(quote, 0.6, {space + "null": 0.4}),
        token("bug", 0.75, {"style": 0.25}),
        token('"}'),
    )
    found = measure(reply, '{"verdict": "bug"}', closed_field(shape_of(Perhaps), "verdict"), 20)

    assert isinstance(found, Measured)
    assert pytest.approx((0.45, 0.15, 0.4)) == found.spread.attributed
    assert pytest.approx(0.0) == found.spread.missing
    assert pytest.approx(0.75) == found.first_token
