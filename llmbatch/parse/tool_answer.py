"""An answer that travels as the arguments of the one function that was asked for. Knows no schema."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from llmbatch.parse.body import json_text
from llmbatch.parse.completion import Completion
from llmbatch.parse.extract import Extracted, written


def answered_by_tool(completion: Completion, name: str) -> Completion:
    """Return a completion whose text is what the function `name` was called with, where it was called at all.

    A service that passes over `tools` answers in its text, which then stays. Of several calls the first of that
    function that has arguments counts, else the first of any. The message becomes one without calls: a conversation
    may go on after it, and services refuse a call that nobody replied to.
    """
    if not completion.tool_calls:
        return completion
    said = _arguments(completion.tool_calls, name) or completion.text
    return completion._replace(text=said, tool_calls=None, held={"role": "assistant", "content": said})


def without_call(extracted: Extracted, fields: Sequence[str]) -> Extracted:
    """Return the arguments of a call that a model wrote out in its text, and what is no such call as it is.

    Models do so whose words for a call the server does not know: `{"name": "Verdict", "arguments": {...}}`, some with
    more of the function's definition. `fields` are the shape's; one of such a name is never taken for a call.
    """
    value = extracted.value
    if type(value) is not dict or type(value.get("name")) is not str:
        return extracted
    for name in ("arguments", "parameters"):
        arguments = value.get(name)
        if type(arguments) is dict and name not in fields:
            return Extracted(arguments, "embedded", written(arguments))
    return extracted


def _arguments(calls: Iterable[Any], name: str) -> str:
    """Return the JSON text of the arguments; some services send them as an object."""
    functions = [call["function"] for call in calls if type(call) is dict and type(call.get("function")) is dict]
    called = [function for function in functions if function.get("name") == name] or functions
    for function in called:
        arguments = function.get("arguments")
        if type(arguments) is str and arguments.strip():
            return arguments
        if type(arguments) is dict:
            return json_text(arguments)
    return ""
