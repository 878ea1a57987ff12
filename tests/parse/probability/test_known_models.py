"""The probabilities that are found are those of a model of which everything is known."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import create_model

from llmbatch.parse.probability import ClosedField, Measured, closed_field, measure
from llmbatch.parse.probability.tokens import read_tokens
from llmbatch.parse.probability.tree import spread_over_labels
from llmbatch.parse.shape import Shape, shape_of
from tests.support.tokenisers import ASTRAY, END, World, vocabulary_of

HEAD = b'{"reasons": ["a label: \\"b\\""], "category": '
SEEDS = st.integers(0, 2**32)


def shape_with(labels: list[str]) -> Shape[Any]:
    fields: dict[str, Any] = {"reasons": (list[str], ...), "category": (one_of(labels), ...)}
    return shape_of(create_model("Verdict", **fields))


def one_of(labels: Sequence[str | None]) -> Any:
    return Literal[tuple(labels)]


def spellings(label: str) -> list[str]:
    """JSON of a label, as models write it: its letters, others of its case, another space, escaped."""
    texts = dict.fromkeys([label, label.upper(), f"{label[:1]} {label[1:]}"])
    written = [json.dumps(text, ensure_ascii=False) for text in texts if text.upper().casefold() == text.casefold()]
    return [*written, json.dumps(label)]


def json_world(labels: list[str], seed: int, *, merges: int = 25, variety: int = 2, leak: float = 0.0) -> World:
    """A model that writes one of the labels behind a chain of thought, in several spellings."""
    dice = random.Random(seed)
    documents: dict[bytes, int] = {}
    for place, label in enumerate(labels):
        for spelled in spellings(label)[:variety]:
            documents.setdefault(HEAD + spelled.encode() + b"}", place)
    vocabulary = [*vocabulary_of([document[len(HEAD) - 2 :] for document in documents], dice, merges), HEAD, HEAD[:-1]]
    return World(list(documents.items()), vocabulary, len(labels), seed, leak)


def measured(world: World, tokens: list[bytes], field: ClosedField, top: int = 1000) -> tuple[Measured, bytes]:
    """Return what is found in an answer, and what it wrote before the token in which its label begins."""
    found = measure(world.reply(tokens, top), b"".join(tokens).decode(), field, top)
    assert isinstance(found, Measured), found
    before = b""
    for token in tokens:
        if len(before + token) > len(HEAD) + 1:
            break
        before += token
    return found, before


def is_identifiable(world: World, tokens: list[bytes], before: bytes) -> bool:
    """Whether every token that the answer might have written in place of its own leaves one label, or none."""
    for token in tokens[len_in_tokens(tokens, before) :]:
        for other in world.next_tokens(before):
            left = (
                [probability > 0 for probability in world.truth(before + other)] if other not in (END, ASTRAY) else []
            )
            if other != token and sum(left) > 1:
                return False
        before += token
    return True


def len_in_tokens(tokens: list[bytes], before: bytes) -> int:
    count = 0
    while len(b"".join(tokens[:count])) < len(before):
        count += 1
    return count


letters = st.sampled_from(["a", "b", "é", "日", "🙂", "ß", " ", "c", '"', "\\"])
label_texts = st.text(letters, min_size=1, max_size=6).filter(lambda text: text.strip() == text)


def folded(text: str) -> str:
    return "".join(text.split()).casefold()


label_sets = st.lists(label_texts, min_size=2, max_size=4, unique_by=folded)


@settings(max_examples=60)
@given(st.permutations(["a", "b", "é", "日", "🙂", "c"]), st.lists(label_texts, min_size=3, max_size=3), SEEDS)
def test_labels_that_begin_with_different_bytes_are_found_exactly_from_one_answer(
    firsts: list[str], rests: list[str], seed: int
) -> None:
    """In several spellings, any tokenisation, split characters: whoever begins a label is known to mean it."""
    labels = [first + rest for first, rest in zip(firsts, rests, strict=False)]
    world = json_world(labels, seed)
    world.vocabulary = [token for token in world.vocabulary if b'"' not in token[:-1] or token.startswith(HEAD[:9])]
    tokens = world.answer(random.Random(seed))
    found, before = measured(world, tokens, closed_field(shape_with(labels), "category"))

    assert world.truth(before) == pytest.approx(found.spread.attributed, abs=1e-6)
    assert (0, 0) == pytest.approx((found.spread.missing, found.spread.undecided), abs=1e-6)
    assert found.place == next(label for document, label in world.documents if document == b"".join(tokens))


# no piece begins another, and none shares a byte with what follows: the shared beginning can be cut in one way
pieces = st.lists(st.sampled_from(["x", "yx", "yλ", "語", "λ語"]), min_size=1, max_size=5)


@settings(max_examples=60)
@given(pieces, st.permutations(["a", "b", "é", "日"]), st.lists(label_texts, min_size=3, max_size=3), SEEDS)
def test_labels_that_share_a_beginning_are_told_apart_where_they_part(
    shared: list[str], firsts: list[str], rests: list[str], seed: int
) -> None:
    """The tokens of the beginning that all labels share decide nothing, so what follows them decides it all."""
    endings = [first + rest for first, rest in zip(firsts, rests, strict=False)]
    labels = ["".join(shared) + ending for ending in endings]
    documents = {HEAD + json.dumps(label, ensure_ascii=False).encode() + b"}": at for at, label in enumerate(labels)}
    tails = [json.dumps(ending, ensure_ascii=False).encode()[1:] + b"}" for ending in endings]
    vocabulary = {HEAD, b'"', *(piece.encode() for piece in shared), *vocabulary_of(tails, random.Random(seed), 25)}
    world = World(list(documents.items()), sorted(vocabulary), len(labels), seed)
    tokens = world.answer(random.Random(seed))
    found, before = measured(world, tokens, closed_field(shape_with(labels), "category"))

    assert is_identifiable(world, tokens, before)
    assert world.truth(before) == pytest.approx(found.spread.attributed, abs=1e-6)
    assert 0 == found.spread.undecided


@settings(max_examples=80)
@given(label_sets, SEEDS, st.integers(1, 4))
def test_a_set_that_one_answer_cannot_tell_apart_says_so(labels: list[str], seed: int, variety: int) -> None:
    """What a branch beside the answer leaves to several labels is undecided and never split; else all is exact."""
    world = json_world(labels, seed, variety=variety)
    tokens = world.answer(random.Random(seed))
    found, before = measured(world, tokens, closed_field(shape_with(labels), "category"))
    spread, truth = found.spread, world.truth(before)

    if not is_identifiable(world, tokens, before):
        assert spread.undecided > 0
    if spread.undecided == 0:
        assert truth == pytest.approx(spread.attributed, abs=1e-6)
    assert sum(spread.attributed) + spread.undecided == pytest.approx(1, abs=1e-6)
    for true, attributed, possible in zip(truth, spread.attributed, spread.possible, strict=True):
        assert attributed - 1e-9 <= true <= possible + 1e-9


@settings(max_examples=80)
@given(label_sets, SEEDS, st.integers(2, 6), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_truth_lies_between_the_limits_whatever_is_not_listed_and_wherever_a_model_goes_astray(
    labels: list[str], seed: int, top: int, leak: float
) -> None:
    """Few tokens are listed, and a label that is begun need not be ended: the limits assume nothing."""
    world = json_world(labels, seed, leak=leak)
    tokens = world.answer(random.Random(seed))
    found, before = measured(world, tokens, closed_field(shape_with(labels), "category"), top)
    spread = found.spread

    for true, low, high in zip(world.truth(before), spread.certain, spread.possible, strict=True):
        assert low - 1e-9 <= true <= high + 1e-9
    others = spread.undecided + spread.elsewhere + spread.unlisted
    assert sum(spread.attributed) + others == pytest.approx(1, abs=1e-6)
    assert spread.missing == pytest.approx(others, abs=1e-6)


@settings(max_examples=60)
@given(st.lists(label_texts, min_size=1, max_size=3, unique_by=folded), SEEDS, st.integers(2, 1000))
def test_where_null_may_stand_for_a_label_the_quote_is_counted_too(labels: list[str], seed: int, top: int) -> None:
    """A quote of its own rules null out, and a null leaves open which string its quote would have begun."""
    documents = {HEAD + json.dumps(label, ensure_ascii=False).encode() + b"}": at for at, label in enumerate(labels)}
    documents[HEAD + b"null}"] = len(labels)
    dice = random.Random(seed)
    vocabulary = [*vocabulary_of([document[len(HEAD) - 2 :] for document in documents], dice, 25), HEAD, HEAD[:-1]]
    world = World(list(documents.items()), vocabulary, len(labels) + 1, seed)
    tokens = world.answer(dice)
    fields: dict[str, Any] = {"reasons": (list[str], ...), "category": (one_of([*labels, None]), ...)}
    field = closed_field(shape_of(create_model("Verdict", **fields)), "category")
    found = measure(world.reply(tokens, top), b"".join(tokens).decode(), field, top)
    assert isinstance(found, Measured), found
    spread, before = found.spread, b""
    while len(before) + len(tokens[0]) <= len(HEAD):
        before += tokens.pop(0)

    assert [*labels, "null"] == list(field.labels)
    for true, low, high in zip(world.truth(before), spread.certain, spread.possible, strict=True):
        assert low - 1e-9 <= true <= high + 1e-9
    if spread.missing < 1e-9:
        assert world.truth(before) == pytest.approx(spread.attributed, abs=1e-6)


@settings(max_examples=40)
@given(st.lists(label_texts, min_size=2, max_size=4, unique_by=folded), SEEDS, st.sampled_from([0.0, 0.3]))
def test_with_every_way_to_write_the_labels_known_each_is_exact(labels: list[str], seed: int, leak: float) -> None:
    """Several answers make one tree. When no branch is left to assume anything of, nothing is undecided."""
    world = json_world(labels, seed, merges=6, variety=1, leak=leak)
    before = HEAD + b'"'
    answers = world.answers_from(before, most=600)
    assume(answers)
    paths = [read_tokens(world.reply(tokens, 1000, before)) or () for tokens in answers]
    field = closed_field(shape_with(labels), "category")
    spread = spread_over_labels(paths, field.json, len(labels), before=b' "')

    assert world.truth(before) == pytest.approx(spread.certain, abs=1e-6)
    assert spread.certain == pytest.approx(spread.attributed, abs=1e-6)
    assert spread.possible == pytest.approx(spread.certain, abs=1e-6)


def word_world(labels: list[str], seed: int) -> World:
    """A model that answers with a word, as it pleases: in quotes, with a full stop, behind a line of thought."""
    dice = random.Random(seed)
    documents: dict[bytes, int] = {}
    for place, label in enumerate(labels):
        for written in (label, f"**{label}**", f" {label}.", f'"{label.upper()}"'):
            documents.setdefault(b"Let me see.\n" + written.encode(), place)
    vocabulary = [*vocabulary_of([each[12:] for each in documents], dice, 20), b"Let me see.\n"]
    return World(list(documents.items()), vocabulary, len(labels), seed)


@settings(max_examples=60)
@given(st.permutations(["a", "b", "é", "日", "🙂", "ab", "a b"]), SEEDS, st.booleans())
def test_a_bare_word_is_bounded_by_what_its_first_token_and_its_end_leave_open(
    words: list[str], seed: int, with_end: bool
) -> None:
    """Many services do not list the token that ends an answer: then no label is certain, and all limits hold."""
    labels = list({folded(word): word for word in words[:4]}.values())
    world = word_world(labels, seed)
    tokens = world.answer(random.Random(seed))
    field = closed_field(shape_of(one_of(labels)), "answer")
    document = world.reply(tokens, 1000, with_end=with_end)
    found = measure(document, b"".join(tokens).decode(), field, 1000)
    assert isinstance(found, Measured), found
    begin = b"Let me see.\n"
    at = 1
    while not b"".join(tokens[1 : at + 1]).decode("utf-8", "ignore").strip(' *"') and not _is_begun(tokens[at]):
        begin += tokens[at]
        at += 1

    for true, low, high in zip(world.truth(begin), found.spread.certain, found.spread.possible, strict=True):
        assert low - 1e-9 <= true <= high + 1e-9
    if not with_end:
        assert sum(found.spread.certain) <= 1


def _is_begun(token: bytes) -> bool:
    return any(byte not in b' *"' for byte in token)
