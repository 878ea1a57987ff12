"""Templates: names only, values never looked at again, and errors that say what to write."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.errors import PromptError
from llmbatch.prompt import Template, parse_prompt_text

SECRET = "canary-9f1c"


class Leaky:
    """An object whose class reaches a secret through its globals."""

    def __init__(self) -> None:
        self.secret = SECRET


def user_text(template: str, fields: dict[str, Any], **options: Any) -> str:
    content = parse_prompt_text(template, place="p.md").render(fields, **options)[-1]["content"]
    assert isinstance(content, str)
    return content


def error_of(template: str, fields: dict[str, Any] | None = None, **options: Any) -> PromptError:
    with pytest.raises(PromptError) as caught:
        parse_prompt_text(template, place="p.md").render(fields or {}, **options)
    return caught.value


@given(st.text(), st.text())
def test_a_value_is_never_expanded_again(one: str, two: str) -> None:
    """Whatever a value holds, placeholders and braces included, stands in the text as it is."""
    assert user_text("<{a}|{b}|{a}>", {"a": one, "b": two}) == f"<{one}|{two}|{one}>"
    assert user_text("{a}{b}", {"a": "{b}", "b": "{a.__class__}"}) == "{b}{a.__class__}"


@given(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])))
def test_doubled_braces_give_any_text_back(text: str) -> None:
    """Doubling every brace is all it takes to write any text."""
    doubled = text.replace("{", "{{").replace("}", "}}")

    [message] = Template.from_messages([{"role": "user", "content": doubled}]).render({})

    assert message["content"] == text


@pytest.mark.parametrize(
    "name",
    ["x.secret", "x.__class__", "x.__init__.__globals__[SECRET]", "x[0]", "x!r", "x:>100000000", "x!r:>9", "0.real"],
)
def test_a_placeholder_reaches_a_field_and_nothing_else(name: str) -> None:
    """Attribute, index, conversion and format specification are refused where they stand."""
    error = error_of(f"Hello\n  {{{name}}}", {"x": Leaky()})

    assert error.place == "p.md:2:3"
    assert "without . [ ] ! :" in error.details["allowed"]
    assert SECRET not in str(error)


def test_an_object_without_a_json_form_cannot_be_written() -> None:
    """No object is turned into text by its own code."""
    error = error_of("{x}", {"x": Leaky()})

    assert "Leaky has no JSON form" in error.what
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ("a {", "p.md:1:3"),
        ("\n\na }\n", "p.md:3:3"),
        ('{\n "a": 1}', "p.md:1:1"),
        ("{a}}", "p.md:1:4"),
        ("{}", "p.md:1:1"),
    ],
)
def test_a_brace_that_belongs_to_nothing_is_named_with_line_and_column(template: str, place: str) -> None:
    """JSON in a prompt needs its braces doubled, and the error says so."""
    error = error_of(template, {"a": 1})

    assert error.place == place
    assert "{{" in error.details["fix"] or "}}" in error.details["fix"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as {is}", "as {is}"),
        (True, "true"),
        (3, "3"),
        (0.1, "0.1"),
        (2**70, str(2**70)),
        ([1, "é"], '[1,"é"]'),
        ({"b": None, "a": [True]}, '{"b":null,"a":[true]}'),
    ],
)
def test_values_are_written_as_compact_json_and_texts_as_they_are(value: object, text: str) -> None:
    """The same value always gives the same characters, members in their own order."""
    assert user_text("{x}", {"x": value}) == text


@pytest.mark.parametrize("value", [None, float("nan"), b"x"])
def test_a_value_that_would_mislead_the_model_is_an_error_naming_its_field(value: object) -> None:
    """None as a word, an empty place or `nan` would be asked about as if it were data."""
    error = error_of("one\n{x}", {"x": value})

    assert "`x`" in error.what
    assert error.place == "p.md:2"


def test_a_missing_field_is_explained_as_the_documentation_shows_it() -> None:
    """The whole message: what, where, which fields there are, what is withheld, and what to write."""
    fields = {"message": "m", "project": "p", "sha": "s", "label": "corrective"}
    error = error_of("\n\nGo\n{mesage}", fields, withheld=frozenset({"label"}), source="data/commits.jsonl")

    assert error.report().splitlines() == [
        "PromptError: {mesage} has no field        p.md:4",
        "  fields  message, project, sha    (data/commits.jsonl; `label` is the truth and is withheld)",
        "  fix     write {message}, or {{mesage}} for the text itself",
    ]


@pytest.mark.parametrize(
    "template",
    ["{label}", "---\nsystem: Is it {label}?\n---\nHi", "---\nshots:\n- user: q\n  assistant: '{label}'\n---\nHi"],
)
def test_the_truth_is_withheld_in_every_turn_whatever_is_passed(template: str) -> None:
    """A model must not be told the answer: by the user turn, the system message or a shot."""
    for fields in ({"label": "x"}, {}):
        error = error_of(template, fields, withheld=frozenset({"label"}))
        assert error.what == "`label` is the truth and is withheld"


def test_check_says_the_same_as_render_without_values() -> None:
    """Collection finds what the first call would."""
    template = parse_prompt_text("{message} {shaa}", place="p.md")

    with pytest.raises(PromptError) as caught:
        template.check(["message", "sha"])

    assert str(caught.value) == str(error_of("{message} {shaa}", {"message": "m", "sha": "s"}))
    assert parse_prompt_text("{sha}", place="p.md").check(["sha", "unused"]) is None  # type: ignore[func-returns-value]


def test_a_mapping_that_answers_for_any_name_does_not_hide_a_missing_field() -> None:
    """A defaultdict would fill a misspelt placeholder with nothing."""
    template = parse_prompt_text("{mesage}", place="p.md")

    with pytest.raises(PromptError):
        template.render(defaultdict(str, message="m"))


def test_field_names_may_be_column_headers() -> None:
    """CSV columns have spaces and dashes; `{{{name}}}` is a value between braces."""
    assert user_text("{commit message}/{file-name}/{{{é}}}", {"commit message": 1, "file-name": 2, "é": 3}) == "1/2/{3}"


def test_messages_keep_their_members_and_other_content() -> None:
    """Whole messages: texts are templates, tool calls and parts are passed on as they are."""
    parts = [{"type": "text", "text": "{not a placeholder}"}]
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "{x}", "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "user", "content": parts},
    ]

    rendered = Template.from_messages(messages).render({"x": 1})

    assert rendered == [{"role": "user", "content": "1", "name": "ann"}, *messages[1:]]
    assert Template.from_messages(messages).placeholders == (("x", 1),)


def test_verbatim_messages_are_no_templates() -> None:
    """A model's own answer, full of braces, can be sent back."""
    said = [{"role": "assistant", "content": json.dumps({"a": {}})}]

    assert Template.from_messages(said, verbatim=True).render({}) == said


@pytest.mark.parametrize("message", [{"content": "x"}, "text", {"role": "user", "content": b"x"}])
def test_a_message_that_cannot_be_sent_names_its_number(message: Any) -> None:
    """The place is the message's index."""
    with pytest.raises(PromptError) as caught:
        Template.from_messages([{"role": "user", "content": "x"}, message])

    assert caught.value.place == "messages[1]"


def fingerprint(text: str) -> str:
    return parse_prompt_text(text, place="p.md").fingerprint


def test_line_ends_and_blank_lines_do_not_move_the_fingerprint() -> None:
    """The same prompt saved by another editor is the same version."""
    base = "---\nsystem: S\n---\nOne\n  two {x}"

    same = {fingerprint(base), fingerprint(base.replace("\n", "\r\n")), fingerprint("\ufeff" + base + "\n\n  \n")}

    assert same == {fingerprint("---\nsystem: |\n  S\n---\n\nOne\n  two {x}\n")}


def test_any_edit_moves_the_fingerprint() -> None:
    """Every turn counts, and so does a space inside a text."""
    versions = [
        "One {x}",
        "One  {x}",
        " One {x}",
        "One {x} ",
        "One {y}",
        "One {{x}}",
        "---\nsystem: ''\n---\nOne {x}",
        "---\nsystem: S\n---\nOne {x}",
        "---\nshots: [{user: a, assistant: b}]\n---\nOne {x}",
        "---\nshots: [{user: b, assistant: a}]\n---\nOne {x}",
    ]

    assert len({fingerprint(text) for text in versions}) == len(versions)
    assert fingerprint("One {x}") == "5b7f3a91aeaa747e"


def test_what_is_open_to_one_task_stays_withheld_from_another() -> None:
    """Tasks share a prompt, and each withholds its own truth."""
    template, fields = parse_prompt_text("{label} {kind}", place="p.md"), {"label": "x", "kind": "y"}
    for truth in ("", "label", "sha", "kind", "label"):
        withheld = frozenset({truth}) if truth else frozenset[str]()
        if truth not in fields:
            assert "x y" == template.render(fields, withheld=withheld)[-1]["content"]
        else:
            with pytest.raises(PromptError, match="withheld"):
                template.render(fields, withheld=withheld)
