"""What a request takes is guessed from its size and its bound, and learnt from what replies say."""

from __future__ import annotations

import pytest

from llmbatch.pacing.tokens import Estimate

USAGE = b'{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":20,"total_tokens":60}}'
RESPONSES = (
    b'{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,"total_tokens":12}}'
)


@pytest.mark.parametrize(
    ("bound", "completion"),
    [
        (b'"max_tokens":80', 80),
        (b'"max_completion_tokens": 4000', 4000),
        (b'"max_output_tokens":7', 7),
        (b'"seed":1', 500),
        (b'"max_tokens":null', 500),
    ],
)
def test_while_nothing_is_known_the_longest_answer_counts(bound: bytes, completion: int) -> None:
    """A quarter of a token for each byte asked, and the bound that the request sets."""
    body = b'{"messages":[],' + bound + b"}"

    assert len(body) / 4 + completion == Estimate().of(body)


def test_replies_teach_what_is_usual() -> None:
    """Then the longest possible answer holds nobody back."""
    estimate, body = Estimate(), b"x" * 400
    before = estimate.of(body)
    taken = estimate.learn(body, USAGE)

    assert 600.0 == before
    assert 60.0 == taken
    assert 60.0 == pytest.approx(estimate.of(body))


@pytest.mark.parametrize(
    ("reply", "taken"),
    [
        (RESPONSES, 12),
        (b'{"usage":{"input_tokens":9,"output_tokens":3}}', 12),
        (b'{"usage":{"prompt_tokens":9,"total_tokens":9}}', 9),
        (b'data: {"usage":null}\n\ndata: {"usage":{"prompt_tokens": 5, "completion_tokens": 2}}\n\ndata: [DONE]', 7),
        (b'{"choices":[{"message":{"content":"\\"usage\\" prompt_tokens"}}]}', None),
        (b'{"usage":null}', None),
        (b"", None),
    ],
)
def test_usage_is_read_as_services_write_it(reply: bytes, taken: float | None) -> None:
    """Responses, other vendors, embeddings, streams; and what says nothing teaches nothing."""
    assert taken == Estimate().learn(b"x", reply)
