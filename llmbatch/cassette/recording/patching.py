"""What vcrpy's own patching lacks: threads keep their patches, and the client gets the line just written.

Wraps, outermost, what vcrpy has patched, and restores it. Knows the HTTP libraries, no store and no case.
"""

from __future__ import annotations

import functools
import http.client
import importlib.util
import inspect
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import vcr.patch
import vcr.stubs

from llmbatch.cassette.case import Exchange
from llmbatch.cassette.recording.guard import passing_through
from llmbatch.cassette.recording.sockets import replace
from llmbatch.cassette.recording.wire import Attempt, Sent, response_of

Attempts = Callable[[], AbstractContextManager[Attempt]]
HTTPX_TRANSPORTS = (
    ("HTTPTransport", "handle_request"),
    ("WSGITransport", "handle_request"),
    ("MockTransport", "handle_request"),
    ("AsyncHTTPTransport", "handle_async_request"),
    ("ASGITransport", "handle_async_request"),
    ("MockTransport", "handle_async_request"),
)


@contextmanager
def real_connections_kept() -> Iterator[None]:
    """Let vcrpy reach real connections without taking its patches away from other threads.

    Its `force_reset` restores the real classes for all threads while one connects: requests of the others go
    out unrecorded. It is needed only by `http.client.HTTPSConnection.__init__`, which looks its own name up
    in its module and finds the stub; that class is replaced by one that looks elsewhere. What stands around
    each real connection and request of http.client is the right place for the mark that the guard looks for;
    the other libraries are marked in the functions that vcrpy saved of them. Enter it before the cassette's context.
    """
    with ExitStack() as stack:
        replace(stack, vcr.patch, "force_reset", passing_through)
        replace(stack, vcr.stubs.VCRHTTPConnection, "_baseclass", _own_class(http.client.HTTPConnection))
        replace(stack, vcr.stubs.VCRHTTPSConnection, "_baseclass", _own_class(http.client.HTTPSConnection))
        replace(stack, vcr.patch, "ConnectionRemover", _forgetful(vcr.patch.ConnectionRemover))
        for name in saved_functions():
            replace(stack, vcr.patch, name, _marked(getattr(vcr.patch, name)))
        yield


def saved_functions() -> list[str]:
    """Return the names under which vcr.patch keeps the functions that really send."""
    return [
        name
        for name, value in vars(vcr.patch).items()
        if name.startswith("_") and inspect.isfunction(value) and value.__module__ != vcr.patch.__name__
    ]


def _marked(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def marked(*arguments: Any, **options: Any) -> Any:
        with passing_through():
            return call(*arguments, **options)

    @functools.wraps(call)
    async def marked_async(*arguments: Any, **options: Any) -> Any:
        with passing_through():
            return await call(*arguments, **options)

    return marked_async if inspect.iscoroutinefunction(call) else marked


@contextmanager
def names_bound_before_kept() -> Iterator[None]:
    """Record `HTTPConnection` and `HTTPSConnection` of http.client also for who imported the names before.

    vcrpy replaces the names in their module; who has the real class by then makes a real object, which becomes a stub.
    And who has a subclass of it, and calls `http.client.HTTPConnection.__init__` by that name (httplib2), finds the
    stub's, which is not for such an object. Enter it inside the cassette's context.
    """
    with ExitStack() as stack:
        replace(stack, vcr.stubs.VCRConnection, "__init__", _for_stubs_only(vcr.stubs.VCRConnection.__init__))
        for name in ("HTTPConnection", "HTTPSConnection"):
            real = getattr(vcr.stubs, name)
            replace(stack, real, "__init__", _becoming(getattr(http.client, name), real))
        yield


def _for_stubs_only(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def initialise(self: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(self, vcr.stubs.VCRConnection):
            init(self, *arguments, **options)
        elif isinstance(self, vcr.stubs.HTTPSConnection):
            vcr.stubs.HTTPSConnection.__init__(self, *arguments, **options)
        else:
            vcr.stubs.HTTPConnection.__init__(self, *arguments, **options)

    return initialise


def _becoming(stub: Any, real: Any) -> Callable[..., None]:
    init = _own_init(real)  # for subclasses: vcrpy's, and those defined before, which the guard then refuses

    @functools.wraps(init)
    def initialise(self: Any, *arguments: Any, **options: Any) -> None:
        if type(self) is real:
            self.__class__ = stub
            stub.__init__(self, *arguments, **options)
        else:
            init(self, *arguments, **options)

    return initialise


@contextmanager
def handing_on_what_was_stored(attempts: Attempts, begin_asked: Callable[[Exchange], Sent]) -> Iterator[None]:
    """Bracket each call of a client by an attempt, and give the client what the attempt stored.

    Calls of `ask` are begun by `begin_asked`, and need neither.

    The stubs for httpx and aiohttp hand on the live response; a replay would differ from it (`set-cookie`,
    a scrubbed body). Responses of `http.client` are built from what the recorder left in place. Enter it
    inside the cassette's context.
    """
    with ExitStack() as stack:
        _wrap(stack, vcr.stubs.VCRConnection, "getresponse", functools.partial(_bracketed, attempts))
        for name in ("httpx", "httpx2"):
            if importlib.util.find_spec(name) is not None:
                _wrap_httpx(stack, importlib.import_module(name), attempts)
        if importlib.util.find_spec("aiohttp") is not None:
            import aiohttp  # noqa: PLC0415 - it may be missing
            from vcr.stubs import aiohttp_stubs  # noqa: PLC0415 - as above

            from llmbatch.cassette.recording import aiohttp_patching, asked  # noqa: PLC0415

            for name in ("play_responses", "record_responses"):
                replace(stack, aiohttp_stubs, name, getattr(aiohttp_patching, name))
            replace(stack, aiohttp_stubs, "Request", asked.request_of(begin_asked))
            cookie_header = asked.cookie_header_of(aiohttp_stubs._build_cookie_header)  # noqa: SLF001
            replace(stack, aiohttp_stubs, "_build_cookie_header", cookie_header)
            _wrap(stack, aiohttp.ClientSession, "_request", functools.partial(aiohttp_patching.wrap_request, attempts))
        yield


def _bracketed(attempts: Attempts, call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def bracketed(*arguments: Any, **options: Any) -> Any:
        with attempts():
            return call(*arguments, **options)

    return bracketed


def _wrap_httpx(stack: ExitStack, module: Any, attempts: Attempts) -> None:
    from vcr.stubs import httpx_stubs  # noqa: PLC0415 - of use with httpx only

    def handed_on(attempt: Attempt, response: Any) -> Any:
        if not attempt.to_hand_on:
            return response
        # the function that builds the replayed response, so that the two are alike
        return httpx_stubs._deserialize_response(response_of(attempt.stored[-1][1]), module)  # noqa: SLF001

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def handle_request(transport: Any, request: Any) -> Any:
            with attempts() as attempt:
                response = call(transport, request)
            return handed_on(attempt, response)

        return handle_request

    def wrap_async(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        async def handle_async_request(transport: Any, request: Any) -> Any:
            with attempts() as attempt:
                response = await call(transport, request)
            return handed_on(attempt, response)

        return handle_async_request

    for transport, method in HTTPX_TRANSPORTS:
        _wrap(stack, getattr(module, transport), method, wrap_async if "async" in method else wrap)


def _own_class(real: Any) -> type:
    return type(real.__name__, (real,), {"__init__": _own_init(real)})


def _own_init(real: Any) -> types.FunctionType:
    """Return an `__init__` that finds the real class under the class's name, whatever its module has there."""
    init = real.__init__
    names = {**init.__globals__, real.__name__: real}
    own_init = types.FunctionType(init.__code__, names, init.__name__, init.__defaults__, init.__closure__)
    own_init.__kwdefaults__ = init.__kwdefaults__
    return own_init


def _forgetful(remover: Any) -> Any:
    """vcrpy remembers every connection pool of the run; this one only those that still live."""

    def build(connection_class: type) -> Any:
        built = remover(connection_class)
        built._connection_pool_to_connections = weakref.WeakKeyDictionary()  # noqa: SLF001
        return built

    return build


def _wrap(stack: ExitStack, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    replace(stack, owner, name, wrap(getattr(owner, name)))
