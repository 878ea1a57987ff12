"""Do the probabilities agree with how often the labels are answered? Asks a real model, and prints what it finds.

    python benchmarks/probability.py http://127.0.0.1:18092/v1 --model qwen2.5-coder-1.5b
    python benchmarks/probability.py http://127.0.0.1:18092/v1 --model qwen2.5-coder-1.5b --mode json_schema

Each question is asked 200 times (`--repeats`) at temperature 1 with nothing cut away (top_p 1, top_k 0, min_p 0),
without a seed, and as text, so that the answer is held to no grammar. Each repeat has its own probabilities, given what
it wrote before the label; the mean over the answers that gave a label, each divided by the sum over its labels, is what
the frequency among these answers should be. For each label it prints both, with the
Clopper-Pearson interval of the frequency, at 95 % for all labels of a question together (Bonferroni), and the mean
probability of the label's first token where it was answered; for each question the p-value of a chi-square test over
its labels, how many answers gave none, and how much probability was attributed to none.

With `--mode json_schema` the service holds the answer to a grammar: the rows then say that the two cannot be compared.

The answers are recorded in `--folder`; the same command again asks for nothing that is there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import orjson
import polars as pl
from scipy import stats

import llmbatch

TOGETHER = 0.95
LEAST_EXPECTED = 5.0  # of a cell of the chi-square test; smaller ones are put together with the rest

EXPERIMENT = """
from typing import Any, Literal
from llmbatch import Answer, Ask, task

SAMPLED = {"temperature": 1.0, "max_tokens": 30, "extra_body": EXTRA_BODY}

def turns(system: str, *shots: tuple[str, str]) -> list[dict[str, str]]:
    said = [turn for asked, answer in shots for turn in (("user", asked), ("assistant", answer))]
    return [{"role": role, "content": text} for role, text in (("system", system), *said, ("user", "{message}"))]

@task(samples="data/commits.jsonl", id="id", repeat=REPEATS)
async def category(sample: dict[str, Any], ask: Ask) -> Answer[Any]:
    shots = turns(
        "Say of each commit in one word whether it is corrective, adaptive or perfective.",
        ("Support Python 3.13", "adaptive"),
        ("Fix the sum of empty lists", "corrective"),
        ("Split a long function", "perfective"),
    )
    shape = Literal["corrective", "adaptive", "perfective"]
    return await ask(shape, shots, sample, probability_of="answer", **SAMPLED)

@task(samples="data/reasoned.jsonl", id="id", repeat=REPEATS)
async def reasoned(sample: dict[str, Any], ask: Ask) -> Answer[Any]:
    shots = turns(
        "Say why each commit was made, and below that in one word whether it is a fix, a feature or a cleanup.",
        ("Export tables as CSV", "Users want spreadsheets.\\nfeature"),
        ("Close files after reading", "Handles were leaking.\\nfix"),
        ("Remove dead code", "Nobody calls it.\\ncleanup"),
    )
    return await ask(Literal["fix", "feature", "cleanup"], shots, sample, probability_of="answer", **SAMPLED)
"""

NEUTRAL = {"top_k": 0, "min_p": 0.0}
FREE = {"response_format": {"type": "text"}}
"""Sent in place of a schema: the answer is held to nothing, and no instruction is added to the prompt."""

COMMITS = {
    "parser": "Update the parser for the new file format and clean up",
    "null": "Do not crash when the list of authors is empty",
}


class Label(NamedTuple):
    """What was found of one label: its mean probability, how often it was answered, and the interval of that.

    `first_token` is the mean plain probability of its first token, over the answers that gave it.
    """

    name: str
    probability: float
    count: int
    low: float
    high: float
    first_token: float

    @property
    def agrees(self) -> bool:
        return self.low <= self.probability <= self.high


def write_project(folder: Path, base_url: str, model: str, mode: str, repeats: int) -> Path:
    """Write the experiment, its samples and its configuration; return the experiment's file."""
    data = folder / "experiments" / "data"
    data.mkdir(parents=True, exist_ok=True)
    lines = [orjson.dumps({"id": name, "message": message}) for name, message in COMMITS.items()]
    (data / "commits.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (data / "reasoned.jsonl").write_bytes(lines[0] + b"\n")
    (folder / "llmbatch.toml").write_text(
        f'model = "service/{model}"\nconcurrency = 4\n[endpoints.service]\nbase_url = "{base_url}"\n'
        f'structured = "json_schema"\nfree = true\nfirst_byte_timeout_seconds = 900\ntimeout_seconds = 1800\n',
        encoding="utf-8",
    )
    experiment = folder / "experiments" / f"probability_{mode}_{model.replace('.', '_')}.py"
    extra_body = NEUTRAL | (FREE if mode == "text" else {})
    text = EXPERIMENT.replace("REPEATS", str(repeats)).replace("EXTRA_BODY", repr(extra_body))
    experiment.write_text(text, encoding="utf-8")
    return experiment


def labels_of(rows: Sequence[Mapping[str, Any]]) -> list[Label]:
    """Return what was found of each label over answers that gave one."""
    measured = [orjson.loads(row["prob_labels"]) for row in rows]
    answers = Counter(row["answer"] for row in rows)
    n, names = len(rows), list(measured[0])
    found = []
    for name in names:
        probability = sum(labels[name] / sum(labels.values()) for labels in measured) / n
        interval = stats.binomtest(answers[name], n).proportion_ci(1 - (1 - TOGETHER) / len(names), "exact")
        first_token = _mean(row["prob_first_token"] for row in rows if row["answer"] == name)
        found.append(Label(name, probability, answers[name], interval.low, interval.high, first_token))
    return found


def _mean(values: Iterable[float]) -> float:
    told = list(values)
    return sum(told) / len(told) if told else float("nan")


def p_value(labels: Sequence[Label]) -> float:
    """Return the p-value of a chi-square test of the counts against the mean probabilities."""
    n = sum(label.count for label in labels)
    cells = sorted((label.probability * n, label.count) for label in labels)
    while len(cells) > 1 and cells[0][0] < LEAST_EXPECTED:
        (expected, count), (next_expected, next_count) = cells[:2]
        cells = sorted([(expected + next_expected, count + next_count), *cells[2:]])
    if len(cells) == 1:
        return 1.0
    statistic = sum((count - expected) ** 2 / expected for expected, count in cells)
    return float(stats.chi2.sf(statistic, len(cells) - 1))


def report(rows: pl.DataFrame) -> Iterator[str]:
    """Yield what is printed: one line a label, one a question, and one for all."""
    inside = count = 0
    values: list[float] = []
    for (task, sample), frame in rows.group_by("llmbatch_task", "llmbatch_sample", maintain_order=True):
        asked = frame.to_dicts()
        good = [row for row in asked if row["prob_labels"] is not None]
        labels = labels_of(good)
        values.append(p_value(labels))
        for label in labels:
            inside, count = inside + label.agrees, count + 1
            yield (
                f"{task:8} {sample:6} {label.name:10} probability {label.probability:.4f}"
                f"  frequency {label.count / len(good):.4f} [{label.low:.3f}, {label.high:.3f}]"
                f"  first token {label.first_token:.3f}  {'agrees' if label.agrees else 'DIFFERS'}"
            )
        missing = _mean(row["prob_missing"] for row in good)
        yield (
            f"{task:8} {sample:6} chi-square p {values[-1]:.3f}, {len(good)} of {len(asked)} gave a label, "
            f"missing {missing:.3f}"
        )
        said = Counter((row["prob_source"], row["prob_comparable"], row["prob_note"]) for row in good)
        yield from (
            f"    {times} x {source}, comparable {comparable}, {note}"
            for (source, comparable, note), times in said.items()
        )
    least = min(1.0, min(values) * len(values))
    yield f"{inside} of {count} labels agree; smallest p of {len(values)} questions, Bonferroni: {least:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare probabilities of labels with frequencies, on a real model.")
    parser.add_argument("base_url")
    parser.add_argument("--model", required=True)
    parser.add_argument("--mode", default="text", choices=["text", "json_schema"])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where answers are recorded (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        experiment = write_project(folder, arguments.base_url, arguments.model, arguments.mode, arguments.repeats)
        run = llmbatch.run(str(experiment), record_mode="new_episodes")
        print(
            f"{arguments.model}, {arguments.mode}: exit code {run.exit_code}, {run.paid} asked, {run.cached} recorded"
        )
        for line in report(run.rows):
            print(line)


if __name__ == "__main__":
    main()
