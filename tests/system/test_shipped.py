"""The experiment that ships with the project: its committed cassette answers everything, for anybody, offline."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import openai
import polars as pl
import pytest
import vcr

import llmbatch
from llmbatch.cassette.store import Store

ROOT = Path(__file__).parents[2]
EXPERIMENT = ROOT / "experiments" / "commit_classify.py"
CASSETTE = ROOT / "cassettes" / "commit_classify"
VARIANTS = [f"qwen2.5-coder-{size}-{prompt}" for size in ("1.5b", "0.5b") for prompt in ("bare", "cot")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> llmbatch.Run:
    """A replay of the whole."""
    return llmbatch.run(EXPERIMENT, record_mode="none", results=tmp_path_factory.mktemp("results"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing can be connected to."""

    def refuse(self: socket.socket, address: object) -> None:
        msg = f"connected to {address}"
        raise AssertionError(msg)

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_every_case_is_answered_from_the_committed_cassette(run: llmbatch.Run) -> None:
    """132 commits, two models, two prompts; what was cut at the limit is a result."""
    assert (0, 0, 528) == (run.exit_code, run.paid, run.cached)
    assert VARIANTS == run.table("summary")["variant"].to_list()
    assert {"ok", "truncated"} == set(run.rows["llmbatch_status"])


def test_the_cassette_is_what_was_recorded() -> None:
    """Each line by its checksum, each key by its request, and the whole by the digest that the documents print."""
    with Store(CASSETTE) as store:
        digest, interactions = store.content_digest(), len(store)
    told = (ROOT / "docs" / "shipped-example.md").read_text(encoding="utf-8")

    assert [] == llmbatch.Cassette(CASSETTE).verify()
    assert interactions >= 400
    assert digest in told


def test_the_documents_print_what_the_replay_gives(run: llmbatch.Run) -> None:
    """Figures in a document are measured, and stay so."""
    shown = (ROOT / "docs" / "shipped-example.md").read_text(encoding="utf-8")

    for row in run.table("summary").iter_rows(named=True):
        accuracy = f"{row['accuracy']:.2f} [{row['accuracy_low']:.2f}, {row['accuracy_high']:.2f}]"
        assert re.search(rf"{re.escape(row['variant'])}\b.*\b{row['n_correct']} of {row['n_scored']}\b", shown)
        assert accuracy in shown


def test_stock_vcrpy_replays_a_committed_segment_to_a_plain_openai_client(no_network: None) -> None:
    """Nobody needs llmbatch to read what it recorded."""
    with Store(CASSETTE) as store:
        interactions = [each for number, each in enumerate(store) if number % 131 == 0]
    segment = str(CASSETTE / "segment-00001.yaml")

    with vcr.VCR().use_cassette(segment, record_mode="none", match_on=["method", "uri", "body"]):
        for each in interactions:
            base_url = each.call.request.url.removesuffix("/chat/completions")
            with openai.OpenAI(api_key="none", base_url=base_url, max_retries=0) as client:
                completion = client.chat.completions.create(**json.loads(each.call.request.body or b""))

            recorded = json.loads(each.reply.body)
            assert recorded["id"] == completion.id
            assert recorded["choices"][0]["message"]["content"] == completion.choices[0].message.content

    assert len(interactions) == 5


def test_the_samples_are_balanced_varied_and_labelled() -> None:
    """What the card beside them says of them."""
    samples = pl.read_ndjson(ROOT / "experiments" / "data" / "commits.jsonl")

    assert [44, 44, 44] == samples["label"].value_counts(sort=True)["count"].to_list()
    assert samples.filter(pl.col("difficulty") == "hard").height * 4 >= samples.height
    assert samples["ecosystem"].n_unique() >= 12
    assert samples.filter(pl.col("language") != "en").height >= 24
    assert samples["message"].n_unique() == samples.height
