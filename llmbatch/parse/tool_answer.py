"""An answer that travels as the arguments of the one function that was asked for. Knows no schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from llmbatch.parse.completion import Completion


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


def _arguments(calls: Iterable[Any], name: str) -> str:
    """Return the JSON text of the arguments; some services send them as an object."""
    functions = [call["function"] for call in calls if type(call) is dict and type(call.get("function")) is dict]
    called = [function for function in functions if function.get("name") == name] or functions
    for function in called:
        arguments = function.get("arguments")
        if type(arguments) is str and arguments.strip():
            return arguments
        if type(arguments) is dict:
            return orjson.dumps(arguments).decode()
    return ""
