"""Several asks of one case: gathered, one after the other, of labels and of plain text."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Literal, assert_type

from pydantic import BaseModel

from llmbatch import Answer, AnswerError, Ask, LlmbatchError, fixture, task


class Comment(BaseModel):
    body: str


class Review(BaseModel):
    verdict: str


def comments() -> Iterator[Comment]:
    yield Comment(body="please rename this")


def letters(word: str) -> int:
    return len(word)


async def slowly(word: str) -> int:
    return len(word)


def comment_fields(sample: Comment) -> dict[str, str]:
    return {"body": sample.body}


@fixture()
def words() -> list[str]:
    return ["please", "thanks"]


@fixture(scope="task")
async def vectors(ask: Ask, words: list[str]) -> AsyncIterator[list[list[float]]]:
    yield await ask.embed(words)


assert_type(words(), list[str])


@task(samples=comments, repeat=3)
async def review(sample: Comment, ask: Ask, vectors: list[list[float]]) -> Review:
    async with asyncio.TaskGroup() as group:
        first = group.create_task(ask("Is this kind? {body}", sample, draw=0))
        second = group.create_task(ask(Literal["yes", "no"], "Is this kind? {body}", sample, draw=1))
    assert_type(first.result(), Answer[str])
    label = second.result().value
    assert_type(label, Literal["yes", "no"])
    again = await ask(int, "From 0 to 9?", after=first.result(), max_tokens=5, extra_body={"top_k": 1})
    tried = await ask(int, "How long is it?", comment_fields(sample), tools=[letters, slowly])
    assert_type(tried, Answer[int])
    assert_type(await ask.embed([sample.body], model="service/e"), list[list[float]])
    numbers = await ask(list[int], [{"role": "user", "content": "Count."}], stop=["."], seed=1)
    assert_type(numbers.value, list[int])
    try:
        return Review(verdict=f"{label} {again.value}")
    except AnswerError as error:
        base: LlmbatchError = error
        return Review(verdict=f"{error.kind} {base.what}")


@task(samples=review, truth="truth")
async def judge(sample: Review, ask: Ask) -> Answer[int]:
    answer = await ask(int, "How good is {verdict}?", sample, extra_body={"n": 2})
    assert_type(answer.choices, list[Answer[int]])
    return answer.choices[-1]


@task(samples=comments)
def length(sample: Comment) -> int:
    return len(sample.body)


assert_type(length(Comment(body="x")), int)
