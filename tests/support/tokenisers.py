"""Models of which everything is known: random vocabularies of byte tokens, and what each would write next.

A world writes one of some documents, each of which has a label or none, token by token. What comes next depends on the
bytes so far alone, so the true probability of each label is a sum that can be made; a text has as many tokenisations as
its vocabulary allows, and tokens split characters wherever they like.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

END = b""
ASTRAY = b"\x07"


@dataclass
class World:
    """Documents (bytes, with the place of their label), a vocabulary, and a seed for all weights.

    `leak` is the probability with which the model goes astray at each step and says nothing of use any more, until
    a bracket is all that is missing.
    """

    documents: Sequence[tuple[bytes, int]]
    vocabulary: Sequence[bytes]
    labels: int
    seed: int
    leak: float = 0.0
    _known: dict[bytes, tuple[float, ...]] = field(default_factory=dict)

    def next_tokens(self, written: bytes) -> dict[bytes, float]:
        """Return the probability of each token that the model may write next."""
        fitting = [
            token
            for token in self.vocabulary
            if any(document.startswith(written + token) for document, _ in self.documents)
        ]
        if any(document == written for document, _ in self.documents):
            fitting.append(END)
        dice = random.Random(f"{self.seed}{written!r}")
        weights = [dice.uniform(0.05, 1.0) ** 3 for _ in fitting]
        leak = 0.0 if set(fitting) <= {b"}", END} else self.leak
        parts = {token: weight / sum(weights) * (1 - leak) for token, weight in zip(fitting, weights, strict=True)}
        return parts | ({ASTRAY: leak} if leak else {})

    def truth(self, written: bytes) -> tuple[float, ...]:
        """Return the probability of each label, given the bytes so far."""
        if written not in self._known:
            sums = [0.0] * self.labels
            for token, probability in self.next_tokens(written).items():
                if token == END:
                    sums[next(label for document, label in self.documents if document == written)] += probability
                elif token != ASTRAY:
                    sums = [one + probability * two for one, two in zip(sums, self.truth(written + token), strict=True)]
            self._known[written] = tuple(sums)
        return self._known[written]

    def answer(self, dice: random.Random) -> list[bytes]:
        """Return the tokens of one answer that did not go astray, END the last of them."""
        tokens: list[bytes] = []
        while not tokens or tokens[-1] != END:
            following = self.next_tokens(b"".join(tokens))
            following.pop(ASTRAY, None)
            tokens += dice.choices(list(following), list(following.values()))
        return tokens

    def answers_from(self, written: bytes, most: int) -> list[list[bytes]]:
        """Return all that may be written from here on; an empty list if there are more than `most`."""
        found: list[list[bytes]] = []
        for tokens in self._answers(written):
            found.append(tokens)
            if len(found) > most:
                return []
        return found

    def _answers(self, written: bytes) -> Iterator[list[bytes]]:
        for token in self.next_tokens(written):
            if token == END:
                yield [END]
            elif token != ASTRAY:
                for rest in self._answers(written + token):
                    yield [token, *rest]

    def reply(self, tokens: Sequence[bytes], top: int, before: bytes = b"", *, with_end: bool = True) -> dict[str, Any]:
        """Return the body of a chat completion with the `top` most probable tokens at each place."""
        entries = []
        for token in tokens if with_end else tokens[:-1]:
            probabilities = self.next_tokens(before)
            listed = sorted(probabilities, key=lambda each: -probabilities[each])[:top]
            entry = _entry(token, probabilities[token])
            entries.append(entry | {"top_logprobs": [_entry(each, probabilities[each]) for each in listed]})
            before += token
        return {"choices": [{"logprobs": {"content": entries}}]}


def _entry(token: bytes, probability: float) -> dict[str, Any]:
    return {"token": token.decode("utf-8", "replace"), "bytes": list(token), "logprob": math.log(probability)}


def vocabulary_of(documents: Sequence[bytes], dice: random.Random, merges: int) -> list[bytes]:
    """Return every byte of the documents, and random pieces of them of 2 to 7 bytes."""
    tokens = {bytes([byte]) for document in documents for byte in document}
    for _ in range(merges):
        document = dice.choice(documents)
        begin = dice.randrange(len(document))
        tokens.add(document[begin : begin + dice.randint(2, 7)])
    return sorted(tokens)
