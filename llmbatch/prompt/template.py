"""A prompt: its turns, parsed once and rendered into messages many times. Knows no file and no sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from llmbatch.errors import PromptError
from llmbatch.prompt.attached import with_files
from llmbatch.prompt.fingerprint import fingerprint_of
from llmbatch.prompt.text import Text, parse_text, verbatim_text
from llmbatch.samples.location import joined
from llmbatch.samples.values import NotJsonLikeError, json_like


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: `text` is its content where that is a text, `extra` all its other members as sent."""

    role: str
    text: Text | None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def unfilled(self) -> dict[str, Any]:
        """Return the message, its text as it is without a value in it."""
        text = {} if self.text is None else {"content": "".join(self.text.pieces)}
        return {"role": self.role, **text, **self.extra}


class Template:
    """The turns of a prompt, ready to be rendered. `place` is the file, or what stands for it in messages.

    `placeholders` holds (name, line) of every placeholder, in the order of the turns.
    """

    def __init__(self, turns: Sequence[Turn], *, place: str) -> None:
        self.place = place
        self.turns = tuple(turns)
        self._slots = tuple(
            (name, line, turn.text.place) for turn in turns if turn.text for _, name, line in turn.text.slots
        )
        self.placeholders: tuple[tuple[str, int], ...] = tuple((name, line) for name, line, _ in self._slots)
        self._messages = [turn.unfilled() for turn in self.turns]
        self._filled = [(number, turn.text) for number, turn in enumerate(self.turns) if turn.text and turn.text.slots]
        self._open_under: frozenset[str] | None = None  # what was withheld last, and has no placeholder
        self._names = frozenset(name for name, _ in self.placeholders)

    @classmethod
    def from_messages(
        cls,
        messages: Sequence[Mapping[str, Any]],
        *,
        place: str = "messages",
        verbatim: bool = False,
        base_folders: Sequence[Path] = (),
    ) -> Template:
        """Return a template of whole messages: texts in `content` are templates, all else passes through.

        A Path in a list of parts is read, below one of `base_folders` where it is relative. With `verbatim` no text
        is a template: braces are braces. Raises PromptError.
        """
        turns = [
            _turn(message, f"{place}[{number}]", base_folders, verbatim=verbatim)
            for number, message in enumerate(messages)
        ]
        return cls(turns, place=place)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that any edit of a turn moves; line ends and blank lines around it do not."""
        return fingerprint_of((turn.role, turn.text.source if turn.text else None, turn.extra) for turn in self.turns)

    def check(
        self, fields: Iterable[str], withheld: frozenset[str] = frozenset(), *, source: str | None = None
    ) -> None:
        """Raise PromptError unless every placeholder has a field that is not withheld.

        `source` says in the message where the fields come from (`data/commits.jsonl`).
        """
        known = dict.fromkeys(fields)
        for name, line, place in self._slots:
            if name in withheld or name not in known:
                open_fields = [one for one in known if one not in withheld]
                raise _cannot_fill(name, f"{place}:{line}", open_fields, withheld, source)

    def render(
        self,
        fields: Mapping[str, Any],
        *,
        withheld: frozenset[str] = frozenset(),
        source: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the messages with every placeholder filled: a text as it is, other values as compact JSON.

        Raises PromptError as `check` does, and for None or a value that has no JSON form.
        """
        if type(fields) is not dict:
            fields = dict(fields)  # a defaultdict would answer for any name
        if withheld is not self._open_under and not self._names.isdisjoint(withheld):
            self.check(fields, withheld, source=source)
        self._open_under = withheld
        messages = [message.copy() for message in self._messages]
        try:
            for number, text in self._filled:
                messages[number]["content"] = text.filled(fields)
        except KeyError:
            self.check(fields, withheld, source=source)
            raise
        return messages


def _turn(message: object, place: str, base_folders: Sequence[Path], *, verbatim: bool) -> Turn:
    role = message.get("role") if isinstance(message, Mapping) else None
    if not isinstance(message, Mapping) or not isinstance(role, str):
        what = f"a message without a role: {type(message).__name__}"
        raise PromptError(what, place=place, fix='write {"role": "user", "content": ...}')
    content = message.get("content")
    if isinstance(content, PurePath):
        fix = 'put it into a part: [{"type": "image_url", "image_url": {"url": path}}]'
        raise PromptError(f"the content of a message is the path {content.as_posix()!r}", place=place, fix=fix)
    if isinstance(content, list | tuple):
        message = {**message, "content": with_files(content, base_folders, place=f"{place}.content")}
    try:
        extra = json_like({key: value for key, value in message.items() if key != "role"})
    except NotJsonLikeError as error:
        raise PromptError(f"a message that JSON cannot carry: {error}", place=place, fix="pass text") from None
    content = extra.get("content")
    if not isinstance(content, str):
        return Turn(role, None, extra)
    del extra["content"]
    text = verbatim_text(content, place=place) if verbatim else parse_text(content, place=place)
    return Turn(role, text, extra)


def _cannot_fill(
    name: str, place: str, open_fields: list[str], withheld: frozenset[str], source: str | None
) -> PromptError:
    notes = [source] if source else []
    notes += [f"`{truth}` is the truth and is withheld" for truth in sorted(withheld)]
    listed = joined(open_fields) or "none"
    shown = f"{listed}    ({'; '.join(notes)})" if notes else listed
    near = get_close_matches(name, open_fields, n=1)
    what, fix = (
        f"{{{name}}} has no field",
        f"pass a field `{name}`, or write {{{{{name}}}}} for the text itself",
    )
    if name in withheld:
        what = f"`{name}` is the truth and is withheld"
        fix = f"leave {{{name}}} out, or pass its value under another name"
    elif near:
        fix = f"write {{{near[0]}}}, or {{{{{name}}}}} for the text itself"
    return PromptError(what, place=place, fields=shown, fix=fix)
