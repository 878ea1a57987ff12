"""From the arguments of `ask(...)` to the exact request. No file is written and nothing is sent."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel

from llmbatch.asking.function_tool import FunctionTool, declared_tools
from llmbatch.asking.scoring import Scoring, scoring_of, with_logprobs
from llmbatch.call.values import Call
from llmbatch.cassette.address import Address
from llmbatch.client.chat import Envelope, resolve_parameters
from llmbatch.config import ResolvedModel, StructuredMode
from llmbatch.errors import TaskError
from llmbatch.experiment.answer import Answer, Origin
from llmbatch.parse.shape import Shape, shape_of
from llmbatch.prompt.template import Template

REQUEST_OPTIONS = ("temperature", "top_p", "max_tokens", "seed", "stop", "extra_body")
OPTIONS = ("model", *REQUEST_OPTIONS, "reasks", "probability_of", "tools", "after", "draw")

NO_TOOLS: Mapping[str, Any] = MappingProxyType({})


class Manner(NamedTuple):
    """How a question is put whatever it says: worked out once for the many cases of a variant."""

    model: ResolvedModel
    shape: Shape[Any]
    mode: StructuredMode
    parameters: Mapping[str, Any]
    envelope: Envelope
    address: Address
    qualified: str
    instruction: str
    tools: Mapping[str, FunctionTool] = NO_TOOLS
    url: str | None = None
    """Where such questions go, if that is not the model's chat."""
    scoring: Scoring | None = None
    has_choices: bool = False
    """Whether more than one answer is asked for at once."""

    def origin(self, prompt_fingerprint: str) -> Origin:
        """Return what the rows of such questions say of it."""
        return Origin(self.model.text, self.mode, self.parameters, prompt_fingerprint)


class Question(NamedTuple):
    """One ask, ready to be looked up under its key, or to be sent. `written` is its body, where it is written yet.

    `reasks` is how often it may be asked again, and `reasked` how often it has been.
    """

    manner: Manner
    origin: Origin
    messages: list[dict[str, Any]]
    written: bytes | None
    digest: bytes
    repeat: int
    ordinal: int
    key: bytes
    reasks: int
    reasked: int = 0
    functions: Mapping[str, Callable[..., Any]] = NO_TOOLS
    """What the model may call, by name; `manner.tools` is what it is told of them."""

    @property
    def wire(self) -> bytes:
        """The body as it is sent."""
        return self.written or self.manner.envelope.around(self.messages).wire

    def call(self) -> Call:
        """Return the call that records the answer."""
        return Call(self.manner.address.request(self.wire, self.digest), self.repeat, self.ordinal, self.key)


question_of: Callable[[Iterable[Any]], Question] = partial(tuple.__new__, Question)
"""Make one of a tuple of its parts, in a third of the time of Question(...)."""


class Arguments(NamedTuple):
    """The arguments of one `ask(...)`, told apart.

    `fields` is None where none were passed: a text and messages are then no templates, and braces are braces.
    """

    shape: Any
    prompt: str | Path | Sequence[Mapping[str, Any]]
    fields: Mapping[str, Any] | None
    options: Mapping[str, Any]


_arguments_of: Callable[[Iterable[Any]], Arguments] = partial(tuple.__new__, Arguments)


def read_arguments(positional: tuple[Any, ...], options: Mapping[str, Any]) -> Arguments:
    """Tell `ask(prompt, fields)` from `ask(Shape, prompt, fields)`. Raises TaskError naming the mistake."""
    for name in options:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            fix = f"write {near[0]}=" if near else "put it into extra_body={...} to send it as it is"
            raise TaskError(f"ask has no option `{name}`", known=", ".join(OPTIONS), fix=fix)
    reasks = options.get("reasks", 0)
    if type(reasks) is not int or reasks < 0:
        raise TaskError(f"reasks is {reasks!r}, not a number of times", fix="give a whole number of 0 or more")
    shape: Any = str
    rest = positional
    if positional and (isinstance(positional[0], type) or not _is_prompt(positional[0])):
        shape, rest = positional[0], positional[1:]
    if not 1 <= len(rest) <= 2 or not (type(rest[0]) is str or _is_prompt(rest[0])):
        raise TaskError(
            f"ask got {len(positional)} arguments that are not (prompt, fields) or (Shape, prompt, fields)",
            fix='write ask("question.md", sample) or ask(Verdict, "question.md", sample)',
        )
    fields = rest[1] if len(rest) == 2 else None
    if type(fields) is not dict and len(rest) == 2:
        fields = _as_mapping(fields)
    return _arguments_of((shape, rest[0], fields, options))


def _is_prompt(value: object) -> bool:
    if isinstance(value, (str, Path)):
        return True
    return isinstance(value, Sequence) and all(isinstance(turn, Mapping) for turn in value)


def _as_mapping(fields: object) -> Mapping[str, Any]:
    if isinstance(fields, Mapping):
        return fields
    if isinstance(fields, BaseModel):
        return fields.model_dump(mode="json")
    raise TaskError(
        f"the fields of an ask are a {type(fields).__name__}, not a mapping or a pydantic model",
        fix='pass the sample, or a dictionary: ask("question.md", {"text": text})',
    )


def manner_of(arguments: Arguments, model: ResolvedModel, address: Address) -> Manner:
    """Work out how the question is put. Raises TaskError for a shape or an option that cannot be sent."""
    shape = shape_of(arguments.shape)
    mode: StructuredMode = model.structured or "json_schema"
    options = arguments.options
    asked = {name: options[name] for name in REQUEST_OPTIONS if name in options and name != "extra_body"}
    extra = options.get("extra_body") or {}
    parameters = model.capabilities.fitted(resolve_parameters(model.defaults, {**asked, **extra}), extra)
    tools = declared_tools(options["tools"], "" if shape.plain else shape.name) if "tools" in options else NO_TOOLS
    members = shape.request_members(mode)
    if tools:
        if "tools" in parameters:
            raise TaskError(
                "tools= and extra_body both say what the tools are", fix="give the functions alone: tools=[...]"
            )
        members = {
            **members,
            "tools": [*(each.declaration(mode) for each in tools.values()), *members.get("tools", ())],
        }
    scoring = None
    if "probability_of" in options:
        parameters = with_logprobs(parameters, model)
        scoring = scoring_of(options["probability_of"], shape, model, parameters, mode)
    envelope = Envelope(model.name, parameters, members)
    instruction = shape.instruction_in(mode)
    number = parameters.get("n")
    return Manner(
        model,
        shape,
        mode,
        parameters,
        envelope,
        address,
        model.qualified,
        instruction,
        tools,
        scoring=scoring,
        has_choices=isinstance(number, int) and number > 1,
    )


def word(
    arguments: Arguments, template: Template, manner: Manner, withheld: frozenset[str], source: str | None = None
) -> list[dict[str, Any]]:
    """Return the messages to send. Raises PromptError."""
    messages = template.render(arguments.fields or {}, withheld=withheld, source=source)
    after = arguments.options.get("after")
    if after is not None:
        if not isinstance(after, Answer):
            what = f"after= is a {type(after).__name__}, not an answer"
            raise TaskError(
                what, fix='pass what an earlier ask returned: first = await ask(...); ask("...", after=first)'
            )
        messages = [*map(dict, after.messages), *(turn for turn in messages if turn["role"] != "system")]
    if manner.instruction:
        messages[-1] = _with_instruction(messages[-1], manner.instruction)
    return messages


def _with_instruction(turn: dict[str, Any], instruction: str) -> dict[str, Any]:
    """Add the schema in words to a turn; one made of parts (text, images) gets one more part."""
    content = turn["content"]
    if isinstance(content, str):
        return {**turn, "content": f"{content}\n\n{instruction}"}
    return {**turn, "content": [*(content or []), {"type": "text", "text": instruction}]}
