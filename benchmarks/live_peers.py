"""One peer makes so many calls, so many at a time: a process for benchmarks/live.py to measure.

    python benchmarks/live_peers.py {aiohttp|openai|langchain} BASE_URL CALLS CONCURRENCY

`aiohttp` sends bodies and reads replies, no more: the floor under whatever uses it. `openai` is the SDK's typed call.
`langchain` is what many write: prompt | ChatOpenAI | parser with an SQLite cache, a semaphore, chunks of 1,000.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

PROMPT = "Why was this commit made?\n\n"
MESSAGE = "It says what was changed, where, and why. " * 23
CHUNK = 1000


async def _in_workers(calls: int, concurrency: int, call: Callable[[int], Awaitable[object]]) -> None:
    numbers: Iterator[int] = iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(worker() for _ in range(concurrency)))


async def with_aiohttp(base_url: str, calls: int, concurrency: int) -> None:
    """Post bytes and read them, with the same settings of the session as llmbatch's own."""
    import aiohttp  # noqa: PLC0415 - each peer pays for its own imports
    from yarl import URL  # noqa: PLC0415

    url = URL(f"{base_url}/chat/completions")
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), headers=headers
    ) as session:

        async def call(number: int) -> None:
            body = b'{"model":"model-a","messages":[{"role":"user","content":"%d %b"}]}' % (number, MESSAGE.encode())
            async with session.post(url, data=body) as response:
                await response.read()

        await _in_workers(calls, concurrency, call)


async def with_openai(base_url: str, calls: int, concurrency: int) -> None:
    """Call the SDK as its documentation does."""
    from openai import AsyncOpenAI  # noqa: PLC0415

    async with AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0) as client:

        async def call(number: int) -> None:
            content = f"{PROMPT}{number} {MESSAGE}"
            await client.chat.completions.create(model="model-a", messages=[{"role": "user", "content": content}])

        await _in_workers(calls, concurrency, call)


async def with_langchain(base_url: str, calls: int, concurrency: int) -> None:
    """Run the chain that an experiment is often written as; what it records is its cache."""
    from langchain_community.cache import SQLiteCache  # noqa: PLC0415
    from langchain_core.globals import set_llm_cache  # noqa: PLC0415
    from langchain_core.output_parsers import JsonOutputParser  # noqa: PLC0415
    from langchain_core.prompts import ChatPromptTemplate  # noqa: PLC0415
    from langchain_openai import ChatOpenAI  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        set_llm_cache(SQLiteCache(str(Path(folder) / "cache.db")))
        model = ChatOpenAI(model="model-a", api_key="none", base_url=base_url, max_retries=0, temperature=0)
        chain = ChatPromptTemplate.from_messages([("user", PROMPT + "{message}")]) | model | JsonOutputParser()
        semaphore = asyncio.Semaphore(concurrency)

        async def call(number: int) -> None:
            async with semaphore:
                await chain.ainvoke({"message": f"{number} {MESSAGE}"})

        for first in range(0, calls, CHUNK):
            await asyncio.gather(*(call(number) for number in range(first, min(first + CHUNK, calls))))


PEERS = {"aiohttp": with_aiohttp, "openai": with_openai, "langchain": with_langchain}


def main() -> None:
    """Run the peer that the command line names."""
    name, base_url, calls, concurrency = sys.argv[1:]
    asyncio.run(PEERS[name](base_url, int(calls), int(concurrency)))


if __name__ == "__main__":
    main()
