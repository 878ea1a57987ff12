"""The examination of a service: its steps in order, up to the first that leaves the next ones nothing to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import orjson

from llmbatch.call.values import Reply
from llmbatch.doctor.service.asking import Asking, Unanswered, limits_of, proxy_refused
from llmbatch.doctor.service.probing import probed
from llmbatch.doctor.service.reaching import certificate_trusted, connected, name_found
from llmbatch.doctor.service.step import Step, failed
from llmbatch.doctor.service.subject import Subject, with_model
from llmbatch.errors import ExitCode
from llmbatch.policy import verdict_of_reply

_SHOWN_MODELS = 3


async def examine_service(subject: Subject, *, call: bool) -> AsyncIterator[Step]:
    """Yield what each step comes to, as it is made.

    With `call`, one that costs a few tokens is made, and where the subject names its model, those of a probe.
    """
    async for step in _steps(subject, call=call):
        yield Step(step.name, step.state, subject.shown(step.said), step.fix, step.exit_code, step.ends)
        if step.ends:
            return


async def _steps(subject: Subject, *, call: bool) -> AsyncIterator[Step]:
    yield _address(subject)
    yield _key(subject)
    yield _proxy(subject)
    yield await name_found(subject)
    yield await connected(subject)
    trusted = await certificate_trusted(subject)
    if trusted is not None:
        yield trusted
    async with Asking(subject) as asking:
        step, reply, names = await _models(subject, asking)
        yield step
        if not call:
            yield _limits(subject, reply)
            return
        if not subject.model.name and names:
            subject = with_model(subject, names[0])
    async with Asking(subject) as asking:
        step, reply = await _call(subject, asking)
        yield step
        if subject.names_model and step.state == "ok":
            async for fact in probed(subject, asking):
                yield fact
        yield _limits(subject, reply)


def _address(subject: Subject) -> Step:
    name = f"{subject.endpoint.name}: " if subject.endpoint.name else ""
    return Step("address", "ok", f"{name}{subject.endpoint.base_url} ({subject.origin})")


def _key(subject: Subject) -> Step:
    variable = subject.endpoint.key_env
    if variable is None:
        return Step("key", "ok", "none is declared, and none is sent")
    if subject.model.key is None:
        fix = f"export {variable}=..., or write key_env of [endpoints.{subject.endpoint.name}] anew"
        return failed("key", f"{variable} is not set", fix, exit_code=ExitCode.USAGE, ends=False)
    key = subject.model.key.reveal()
    if key != key.strip() or any(character.isspace() or character in "\"'" for character in key):
        fix = f"set {variable} to the key alone"
        return failed("key", f"{variable} holds white space or quotes", fix, exit_code=ExitCode.USAGE, ends=False)
    if not key.isascii():
        fix = f"copy the key anew into {variable}"
        return failed("key", f"{variable} holds characters that no header can carry", fix, exit_code=ExitCode.USAGE)
    return Step("key", "ok", f"{variable} is set")


def _proxy(subject: Subject) -> Step:
    if subject.proxy is None:
        return Step("proxy", "ok", "none, by the environment")
    variable = subject.proxy.where
    try:
        parts = urlsplit(subject.proxy.url)
        is_sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound:
        fix = f"write {variable}=http://host:port, or name the service's host in NO_PROXY"
        return failed("proxy", f"{variable} names no proxy that can be used", fix, exit_code=ExitCode.USAGE)
    return Step("proxy", "ok", subject.proxy.shown)


async def _models(subject: Subject, asking: Asking) -> tuple[Step, Reply | None, list[str]]:
    base_url = subject.endpoint.base_url
    try:
        reply = await asking.models(base_url)
    except Unanswered as problem:
        return failed("models", problem.said, problem.fix), None, []
    names = _names_in(reply)
    if names is not None:
        return _listed(subject, names), reply, names
    if reply.status == 404:
        nearby = await _nearby(asking, base_url)
        if nearby is not None:
            said = f"{base_url} is not the address of the API (404); {nearby} is"
            return failed("models", said, f'write base_url = "{nearby}"', exit_code=ExitCode.USAGE), reply, []
        said = "the service lists no models (404)"
        fix = "see whether it answers a call: --call; if not, check base_url (does it end in /v1?)"
        return Step("models", "note", said, fix), reply, []
    return _refused("models", reply, base_url), reply, []


def _listed(subject: Subject, names: list[str]) -> Step:
    shown = ", ".join(names[:_SHOWN_MODELS]) + (", ..." if len(names) > _SHOWN_MODELS else "")
    wanted = [settings.name for settings in subject.endpoint.models.values()] or [subject.model.name]
    missing = [name for name in wanted if name and name not in names]
    if missing:
        fix = f"correct the name; it has {shown}"
        return Step("models", "note", f"{', '.join(missing)} is not among the {len(names)} models", fix)
    return Step("models", "ok", f"{len(names)}: {shown}")


async def _nearby(asking: Asking, base_url: str) -> str | None:
    """Return an address beside the one given that lists models, None where there is none."""
    shorter = base_url.removesuffix("/chat/completions").removesuffix("/completions").removesuffix("/models")
    guesses = [f"{base_url}/v1", shorter, f"{shorter}/v1", shorter.removesuffix("/v1")]
    for guess in dict.fromkeys(guesses):
        if guess == base_url:
            continue
        try:
            reply = await asking.models(guess)
        except Unanswered:
            return None
        if _names_in(reply) is not None or reply.status in {401, 403}:
            return guess
    return None


def _names_in(reply: Reply) -> list[str] | None:
    """Return the models that a reply lists; None for one that is no list of models."""
    if reply.status != 200:
        return None
    try:
        listed: Any = orjson.loads(reply.body)
        return [str(each["id"]) for each in listed["data"]]
    except (ValueError, LookupError, TypeError):
        return None


async def _call(subject: Subject, asking: Asking) -> tuple[Step, Reply | None]:
    model = subject.model
    if not model.name:
        fix = "name one: llmbatch doctor NAME/MODEL --call"
        return failed("call", "no model is configured or listed", fix, exit_code=ExitCode.USAGE), None
    try:
        reply = await asking.call()
    except Unanswered as problem:
        return failed("call", problem.said, problem.fix), None
    if not (reply.status == 200 and verdict_of_reply(reply, url=model.chat_url).final):
        return _refused("call", reply, subject.endpoint.base_url), reply
    usage: Any = orjson.loads(reply.body).get("usage") or {}
    tokens = f"{usage.get('prompt_tokens', '?')} tokens in, {usage.get('completion_tokens', '?')} out"
    return Step("call", "ok", f"{model.name} answered in {reply.taken_us / 1e6:.2f} s; {tokens}"), reply


def _refused(name: str, reply: Reply, base_url: str) -> Step:
    """Return what is wrong with a reply that is not the one that was asked for."""
    status, kind = reply.status, (reply.header("content-type") or "no content type").partition(";")[0]
    if status == 407:
        problem = proxy_refused(status, reply.reason)
        return failed(name, problem.said, problem.fix)
    if 300 <= status < 400:
        fix = "write the address that it leads to as base_url, if you trust it"
        return failed(name, f"it redirects to {reply.header('location')} ({status})", fix, exit_code=ExitCode.USAGE)
    if kind == "text/html" or reply.body.lstrip()[:1] == b"<":
        fix = "sign in to the network or the proxy, or correct base_url (does it end in /v1?)"
        return failed(name, f"a web page comes in the place of an answer ({status}, {kind})", fix)
    verdict = verdict_of_reply(reply, url=f"{base_url}/chat/completions")
    if status in {401, 403}:
        fix = "check the key and what it may do; one that was made a moment ago may take a minute"
        return failed(name, f"the service refuses the key: {verdict.message}", fix)
    if status == 200:
        fix = "check base_url (does it end in /v1?): something else answers there"
        return failed(name, f"the answer is not that of a model API ({kind})", fix)
    return failed(name, f"{verdict.kind}: {verdict.message}", _FIXES.get(status // 100, "look at the service's status"))


_FIXES = {4: "correct what the service names, in the configuration", 5: "look at the server's log, or try again later"}


def _limits(subject: Subject, reply: Reply | None) -> Step:
    seen = {} if reply is None else limits_of(reply.headers)
    endpoint = subject.endpoint
    told = [f"{name} {number}" for name, number in (("rpm", endpoint.rpm), ("tpm", endpoint.tpm)) if number]
    configured = f"configured: {', '.join(told) or 'none'}"
    if not seen:
        return Step("limits", "ok", f"no x-ratelimit header was seen; {configured}")
    return Step("limits", "ok", ", ".join(f"{number} {what}" for what, number in seen.items()) + f"; {configured}")
