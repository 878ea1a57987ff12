"""What one invocation was told, each value once, from the command line or from `run(...)`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from llmbatch.config import Durability
from llmbatch.errors import UsageError
from llmbatch.money.words import usd_of

RecordMode = Literal["none", "once", "new_episodes", "all"]
Format = Literal["parquet", "csv", "jsonl"]
MODES: tuple[RecordMode, ...] = ("none", "once", "new_episodes", "all")
FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl")
DURABILITIES: tuple[Durability, ...] = get_args(Durability)


class RunOptions(TypedDict, total=False):
    """Keyword options of `run` and `arun`; each has a flag of the same name on the command line."""

    profile: str
    cassette: str | Path
    record_mode: RecordMode
    expect_digest: str
    durability: Durability
    model: str | Sequence[str]
    limit: int
    sample: int
    seed: int
    repeat: int
    concurrency: int
    rpm: int
    tpm: int
    window: int
    hedge: bool
    budget_usd: float
    results: str | Path
    formats: Sequence[Format]
    strict: bool
    keyword: str
    marks: str
    last_failed: bool
    retry_errors: bool
    allow_unstable: bool
    progress: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of one invocation, checked. None means: not said, so the configuration or a default decides.

    `origins` tells of each option that was said where: on the command line, in the call, in a profile.

    `window` bounds the cases in flight (default four times the concurrency), `concurrency` the HTTP attempts; `rpm` and
    `tpm` are requests and tokens a minute to each endpoint.
    """

    profile: str | None = None
    cassette: Path | None = None
    record_mode: RecordMode | None = None
    expect_digest: str | None = None
    durability: Durability | None = None
    model: tuple[str, ...] = ()
    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    repeat: int | None = None
    concurrency: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    window: int | None = None
    hedge: bool | None = None
    budget_usd: float | None = None
    results: Path | None = None
    formats: tuple[Format, ...] = ("parquet",)
    strict: bool = False
    keyword: str | None = None
    marks: str | None = None
    last_failed: bool = False
    retry_errors: bool = False
    allow_unstable: bool = False
    progress: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)


OPTIONS: tuple[str, ...] = tuple(each.name for each in fields(Settings) if each.name != "origins")
"""The names of all options."""
_KINDS: tuple[tuple[str, type, str], ...] = (
    ("bool", bool, "true or false"),
    ("str", str, "a text"),
    ("int", int, "a whole number"),
)
"""Of an option whose annotation begins so: what its value is, and in words."""


def settings_of(options: Mapping[str, Any], *, origin: str = "the call") -> Settings:
    """Check the options of a run, which come from `origin`.

    Raises UsageError naming the option, its value and the fix.
    """
    for name in options:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            raise UsageError(
                f"there is no option `{name}`",
                known=", ".join(OPTIONS),
                fix=f"write `{near[0]}`" if near else "leave it out",
            )
    given = {name: value for name, value in options.items() if value is not None}
    origins = dict.fromkeys(given, origin)
    _check_types(given)
    for name in ("limit", "sample", "repeat", "concurrency", "rpm", "tpm", "window"):
        value = given.get(name)
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value!r}", fix=f"give {name} a whole number of 1 or more")
    if "budget_usd" in given:
        given["budget_usd"] = usd_of(given["budget_usd"])
    _check_choice("record_mode", given.get("record_mode"), MODES)
    if "expect_digest" in given:
        given["expect_digest"] = content_digest_of(given["expect_digest"])
    _check_choice("durability", given.get("durability"), DURABILITIES)
    for name in ("cassette", "results"):
        if name in given:
            given[name] = Path(given[name])
    models = given.get("model", ())
    given["model"] = (models,) if isinstance(models, str) else tuple(models)
    given["formats"] = tuple(given.get("formats", ("parquet",)))
    for chosen in given["formats"]:
        _check_choice("formats", chosen, FORMATS)
    return Settings(**given, origins=origins)


def _check_types(given: Mapping[str, Any]) -> None:
    for option in fields(Settings):
        annotation = str(option.type).removesuffix(" | None")
        for name, kind, words in _KINDS:
            if annotation == name and option.name in given and not _is_a(given[option.name], kind):
                raise UsageError(f"{option.name} is {given[option.name]!r}", fix=f"give {option.name} {words}")


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def content_digest_of(text: str) -> str:
    """Return a cassette's content digest in lower case. Raises UsageError unless it is 64 hexadecimal digits."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", text) is None:
        raise UsageError(
            f"the expected digest {text!r} is not the 64 hexadecimal digits of a content digest",
            fix="copy the whole digest that `llmbatch cassette verify` prints",
        )
    return text.lower()


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value is None or value in choices:
        return
    near = difflib.get_close_matches(str(value), choices, n=1)
    raise UsageError(
        f"{name} is {value!r}",
        known=", ".join(choices),
        fix=f"write {near[0]!r}" if near else "choose one of those",
    )
