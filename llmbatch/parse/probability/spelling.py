"""Which labels the beginning of a text may still become. Pure; knows no token and no probability.

A label may be spelled in many ways: a string in any case and spacing that `match_label` takes for it, raw or
escaped, and a word with quotes, asterisks or a full stop around it. What is asked here of the bytes written so
far: which labels they begin, whether one of them is whole, or whether they are none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, Protocol

AROUND_A_WORD = " \t\r\n\"'`*_.,;:!?()[]\u201c\u201d\u2018\u2019"
_SPACES = " \t\n\r\f\v\u00a0\u2003\u202f\u3000"
_ESCAPE = re.compile(rb'\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|["\\/bfnrt])')
_HALF_A_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?")
_BARE_END = re.compile(rb"[,\]}\s]")


class State(Enum):
    """How far a text is on its way to a label."""

    OPEN = "the beginning of a label, or of several"
    SAID = "a label, and behind it what may stand behind one, or may go on to more"
    WHOLE = "one label, whole"
    GONE = "no label"


class Reading(NamedTuple):
    """What a beginning may become: the labels that are left, by their places."""

    state: State
    labels: frozenset[int]


NONE_LEFT = Reading(State.GONE, frozenset())


class Form(NamedTuple):
    """One way in which a label is written: its text, the label's place, and whether as a JSON string.

    `folds` say what may differ from that text: `case`, `spaces`.
    """

    text: str
    label: int
    quoted: bool = True
    folds: frozenset[str] = frozenset()

    def folded(self, text: str) -> str:
        """Return what this form and a text that is taken for it have in common."""
        text = "".join(text.split()) if "spaces" in self.folds else text
        return text.casefold() if "case" in self.folds else text


class Spelling(Protocol):
    """Reads the bytes from where a value may begin; `ended` says that the answer ends after them.

    `tells_by_quotes`: an opening quote already rules some labels out, as that of a string does null.
    """

    @property
    def tells_by_quotes(self) -> bool:
        """Whether labels are told apart by the quote before them."""
        ...

    def read(self, written: bytes, *, ended: bool = False) -> Reading:
        """Return which labels these bytes may become."""
        ...


class JsonSpelling:
    """Labels as the value of a JSON document: behind spaces, strings in quotes, all else up to a comma or bracket."""

    def __init__(self, forms: Sequence[Form]) -> None:
        self._quoted = [form for form in forms if form.quoted]
        self._bare = [(form.text.encode(), form.label) for form in forms if not form.quoted]
        self._all = frozenset(form.label for form in forms)
        self.tells_by_quotes = bool(self._quoted) and bool(self._bare)

    def read(self, written: bytes, *, ended: bool = False) -> Reading:
        """Return which labels these bytes may become."""
        said = written.lstrip(b" \t\r\n")
        if not said:
            return NONE_LEFT if ended else Reading(State.OPEN, self._all)
        if said[:1] == b'"':
            body, closed = _body(said)
            if closed:
                return _whole(body, self._quoted)
            return NONE_LEFT if ended else _begun(*_decoded(body, escapes=True), self._quoted)
        end = _BARE_END.search(said)
        if end is not None or ended:
            word = said[: end.start()] if end is not None else said
            labels = frozenset(label for text, label in self._bare if text == word)
            return Reading(State.WHOLE, labels) if labels else NONE_LEFT
        labels = frozenset(label for text, label in self._bare if text.startswith(said))
        return Reading(State.OPEN, labels) if labels else NONE_LEFT


class WordSpelling:
    """Labels as the last words of an answer, alone on their line.

    What is no label yet may go on to one on a line further down, so nothing is ever ruled out.
    """

    tells_by_quotes = False

    def __init__(self, forms: Sequence[Form]) -> None:
        self._forms = forms
        self._gone = Reading(State.GONE, frozenset(form.label for form in forms))

    def read(self, written: bytes, *, ended: bool = False) -> Reading:
        """Return which labels these bytes may become."""
        text, rest = _decoded(written, escapes=False)
        if text is None:
            return self._gone
        bare = text.lstrip(AROUND_A_WORD)
        if ended:
            whole = _matched(text.strip(), self._forms) or _matched(bare.rstrip(AROUND_A_WORD), self._forms)
            return Reading(State.WHOLE, whole) if whole and not rest else self._gone
        labels = set(_begun(text, rest, self._forms).labels) | set(_begun(bare, rest, self._forms).labels)
        stripped = bare.rstrip(AROUND_A_WORD)
        if not bare and _may_follow(rest, AROUND_A_WORD):
            labels |= self._gone.labels
        said = _matched(stripped, self._forms) if stripped != bare and _may_follow(rest, AROUND_A_WORD) else None
        if said and said >= labels:
            return Reading(State.SAID, said)
        labels |= said or set()
        return Reading(State.OPEN, frozenset(labels)) if labels else self._gone


def told_apart(forms: Sequence[Form]) -> list[Form]:
    """Return the forms, those taken letter by letter that differ from another label's in what may differ alone."""
    return [
        form._replace(folds=frozenset())
        if any(other.label != form.label and form.folded(other.text) == form.folded(form.text) for other in forms)
        else form
        for form in forms
    ]


def _whole(body: bytes, forms: Sequence[Form]) -> Reading:
    try:
        text = json.loads(b'"' + body + b'"', strict=False)
    except ValueError:
        return NONE_LEFT
    labels = _matched(text, forms)
    return Reading(State.WHOLE, labels) if labels else NONE_LEFT


def _matched(text: str, forms: Sequence[Form]) -> frozenset[int]:
    """Return the one label that a whole text is, by its letters or by what may differ; none where it is none or two."""
    exact = frozenset(form.label for form in forms if text == form.text)
    found = exact or frozenset(form.label for form in forms if form.folded(text) == form.folded(form.text))
    return found if len(found) == 1 else frozenset()


def _begun(text: str | None, rest: bytes, forms: Sequence[Form]) -> Reading:
    """Return the labels that a text begins, `rest` being the first bytes of its next character."""
    if text is None:
        return NONE_LEFT
    labels = set()
    for form in forms:
        written, target = form.folded(text), form.folded(form.text)
        if target.startswith(written) and _may_follow(rest, _next_of(form, target[len(written) :])):
            labels.add(form.label)
    return Reading(State.OPEN, frozenset(labels)) if labels else NONE_LEFT


def _next_of(form: Form, target: str) -> str:
    """Return the characters with which a text may go on to become this form."""
    first = target[:1]
    if "case" in form.folds:
        first += first.upper() + first.title() + ("ß" if target[:2] == "ss" else "")
    return first + (_SPACES if "spaces" in form.folds else "")


def _may_follow(rest: bytes, characters: str) -> bool:
    """Whether one of the characters begins with these bytes, as UTF-8 or as an escape of JSON."""
    if not rest:
        return True
    if rest[:1] == b"\\":  # an escape may be written in either case
        return any(escape.startswith(rest.lower()) for character in characters for escape in _escapes(character))
    return any(character.encode().startswith(rest) for character in characters)


@lru_cache(maxsize=4096)
def _escapes(character: str) -> tuple[bytes, ...]:
    """Return how JSON may write a character behind a backslash, in small letters."""
    units = character.encode("utf-16-be")
    long = "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
    return long.encode(), b"\\/" if character == "/" else json.dumps(character)[1:-1].encode()


def _body(quoted: bytes) -> tuple[bytes, bool]:
    """Return what stands in a JSON string that has begun, and whether it is closed."""
    at = 1
    while at < len(quoted):
        if quoted[at : at + 1] == b'"':
            return quoted[1:at], True
        at += 2 if quoted[at : at + 1] == b"\\" else 1
    return quoted[1:], False


def _decoded(body: bytes, *, escapes: bool) -> tuple[str | None, bytes]:
    """Return the whole characters, and the bytes of one that is cut; (None, b"") for bytes that are no text."""
    if not escapes or b"\\" not in body:
        with suppress(UnicodeDecodeError):
            return body.decode(), b""
    text, at = list[str](), 0
    while at < len(body):
        if escapes and body[at : at + 1] == b"\\":
            escape = _ESCAPE.match(body, at)
            if escape is None or _HALF_A_PAIR.fullmatch(body, at):
                return "".join(text), body[at:]
            text.append(str(json.loads(b'"' + escape[0] + b'"')))
            at = escape.end()
            continue
        length = 1 if body[at] < 0x80 else 2 if body[at] < 0xE0 else 3 if body[at] < 0xF0 else 4
        piece = body[at : at + length]
        try:
            text.append(piece.decode())
        except UnicodeDecodeError as error:
            is_cut = at + length > len(body) and error.reason == "unexpected end of data"
            return ("".join(text), piece) if is_cut else (None, b"")
        at += length
    return "".join(text), b""
