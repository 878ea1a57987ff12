"""The turns between a call of the author's functions and the model's next answer. Sends nothing.

A model is told what it did wrong, and what a function raised, in words that are part of recorded requests.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from llmbatch.asking.function_tool import ArgumentsError, FunctionTool
from llmbatch.asking.question import Manner, Question
from llmbatch.call.failure import FailureKind
from llmbatch.cassette.case import CaseContext, current_owner
from llmbatch.errors import LlmbatchError, TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.experiment.place import definition_of, place_of
from llmbatch.parse.completion import Completion
from llmbatch.parse.extract import shortened
from llmbatch.runlog import Log, write_exception
from llmbatch.samples.values import NotJsonLikeError, json_like

MOST_TOOL_TURNS = 10
"""How often a model may call functions before it answers. One that goes on has no answer (`tool_calls`)."""

_MISTAKES = (NameError, ImportError, SyntaxError, MemoryError, RecursionError)
"""What no argument brings about, so that the model would be paid for trying; or what the machine has a say in."""

_ANSWER_ALONE = "Error: give the answer when you have what the other functions return, and alone"


@dataclass(frozen=True, slots=True)
class ToolTurns:
    """Runs what a model calls. `executor` has the threads of plain functions; the log hears of those that raise."""

    log: Log
    executor: Executor | None = None

    async def after(self, question: Question, answer: Answer[Any], case: CaseContext) -> list[dict[str, Any]] | None:
        """Return the model's turn and one for each of its calls, run in their order; None where nothing is called.

        Raises what is no matter of the model's: a service that a function did not reach, its mistakes, errors of ours.
        """
        called = calls_in(question.manner, answer.completion)
        if answer.failure is not FailureKind.TOOL_CALLS or not called:
            return None
        assert answer.completion is not None
        calls = _with_ids(called, len(question.messages))
        turns = [_spoken(answer.completion.message, calls)]
        for call in calls:
            said = await self._reply(call["function"], question, case)
            turns.append({"role": "tool", "tool_call_id": call["id"], "content": said})
        return turns

    async def _reply(self, called: Mapping[str, Any], question: Question, case: CaseContext) -> str:
        name, tools = called.get("name"), question.manner.tools
        tool = tools.get(name) if isinstance(name, str) else None
        if tool is None:
            known = [*tools, *answer_functions(question.manner)]
            if name in known:
                return _ANSWER_ALONE
            return f"Error: there is no function `{shortened(str(name))}`; there are: {', '.join(known)}"
        try:
            arguments = tool.arguments(called.get("arguments"))
        except ArgumentsError as error:
            return f"Error: {error}"
        function, failures = question.functions[tool.name], len(case.failures)
        try:
            returned = await self._run(tool, function, arguments)
        except (LlmbatchError, *_MISTAKES):
            raise
        except Exception as error:
            if len(case.failures) > failures or _is_ours(error):
                raise  # what a service did not answer today is asked again: it must not become part of a question
            if not case.rehearsal:
                write_exception(self.log, "tool_error", error, case=case.case_id, tool=tool.name)
            return f"Error: {type(error).__name__}: {error}"
        return _text_of(returned, function)

    async def _run(self, tool: FunctionTool, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        if tool.is_async:
            return await function(**arguments)
        token = current_owner.set(asyncio.current_task())
        try:
            context = contextvars.copy_context()
        finally:
            current_owner.reset(token)
        loop = asyncio.get_running_loop()
        returned, error = await loop.run_in_executor(self.executor, context.run, _returned, function, arguments)
        if error is not None:
            raise error
        return await returned if inspect.isawaitable(returned) else returned


def calls_in(manner: Manner, completion: Completion | None) -> list[dict[str, Any]]:
    """Return the calls of functions in what a model said; none where it only gives its answer by one."""
    if completion is None or not completion.tool_calls:
        return []
    calls = [
        call for call in completion.tool_calls if isinstance(call, dict) and isinstance(call.get("function"), dict)
    ]
    answers = answer_functions(manner)
    if answers and all(call["function"].get("name") in answers for call in calls):
        return []
    return calls


def answer_functions(manner: Manner) -> tuple[str, ...]:
    """Return the name of the function by which the answer is given, where it is given so."""
    return (manner.shape.name,) if manner.mode == "tool" and not manner.shape.plain else ()


def _returned(function: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, Exception | None]:
    """Call a function in its thread; a future can carry any exception but StopIteration."""
    try:
        return function(**arguments), None
    except Exception as error:  # noqa: BLE001 - it is told to the model, or raised again where it is awaited
        return None, error


def _is_ours(error: BaseException) -> bool:
    """Whether an SDK has wrapped an error of ours in one of its own."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, LlmbatchError):
        link = link.__cause__
    return link is not None


def _text_of(returned: Any, function: Callable[..., Any]) -> str:
    """Return a text as it is, any other value as compact JSON, as placeholders of prompts do."""
    if type(returned) is str:
        return returned
    try:
        return json.dumps(json_like(returned), ensure_ascii=False, separators=(",", ":"))
    except NotJsonLikeError as error:
        name, place = function.__name__, place_of(*definition_of(function))
        fix = "return text, numbers, lists, dictionaries, dataclasses or pydantic models"
        raise TaskError(f"the tool {name} returned what JSON cannot carry: {error}", place=place, fix=fix) from None


def _with_ids(calls: Sequence[dict[str, Any]], turn: int) -> list[dict[str, Any]]:
    """Return the calls, each with an id of its own: some services give none, or give the same to all."""
    given = [call.get("id") for call in calls]
    if all(isinstance(each, str) and each for each in given) and len(set(given)) == len(given):
        return list(calls)
    return [{**call, "id": f"call_{turn}_{number}", "type": "function"} for number, call in enumerate(calls)]


def _spoken(message: Mapping[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the model's turn as received, with its calls as they are replied to."""
    turn = {name: value for name, value in message.items() if name != "function_call"}
    return {"role": "assistant", **turn, "tool_calls": calls}
