"""A throw-away project on disk and the real command line run over it, for tests of the whole.

`Project` writes an experiment, its prompt, samples and configuration into a folder; `llmbatch` runs in a process
of its own, as a person would run it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

KEY_VARIABLE = "LLMBATCH_TEST_KEY"

EXPERIMENT = """
from typing import Any, Literal
from pydantic import BaseModel
from llmbatch import Answer, Ask, parametrize, task

class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]

@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("model", ["service/model-a", "service/model-b"])
async def classify(sample: dict[str, Any], ask: Ask) -> Answer[Verdict]:
    return await ask(Verdict, "classify.md", sample)
"""

PROGRAM = "import sys; from llmbatch.cli import main; sys.exit(main())"
PROMPT = "Why was this commit made?\n\n{message}\n"


@dataclass
class Finished:
    """What a finished command said."""

    code: int
    out: str
    err: str


@dataclass
class Project:
    """A folder with everything `llmbatch exp` needs. `environ` is all the process sees beside PATH.

    `settings` are the first lines of the configuration, before its tables; `service` are more lines of the endpoint's.
    """

    root: Path
    base_url: str
    key: str | None = None
    environ: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    service: str = ""

    def __post_init__(self) -> None:
        for folder in ("experiments/data", "prompts"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.configure(self.settings)
        self.write_experiment(EXPERIMENT)
        self.write_prompt(PROMPT)
        if self.key is not None:
            self.environ[KEY_VARIABLE] = self.key

    def configure(self, settings: str) -> None:
        """Write the configuration anew, with these lines before its tables."""
        key_env = f'key_env = "{KEY_VARIABLE}"\n' if self.key is not None else ""
        text = f'{settings}\n[endpoints.service]\nbase_url = "{self.base_url}"\nstructured = "json_schema"\n{key_env}'
        text += self.service
        (self.root / "llmbatch.toml").write_text(text, encoding="utf-8")

    @property
    def cassette(self) -> Path:
        """The cassette of the experiment."""
        return self.root / "cassettes" / "study"

    def write_experiment(self, text: str) -> None:
        """Replace the experiment file."""
        (self.root / "experiments" / "study.py").write_text(text, encoding="utf-8")

    def write_prompt(self, text: str, name: str = "classify.md") -> None:
        """Replace a prompt file."""
        (self.root / "prompts" / name).write_text(text, encoding="utf-8")

    def write_samples(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace the sample file."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (self.root / "experiments" / "data" / "commits.jsonl").write_text(lines, encoding="utf-8", newline="\n")

    def start(
        self,
        *arguments: str,
        target: str = "experiments/study.py",
        program: Sequence[str] = (PROGRAM,),
        under: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        """Start `llmbatch exp` in a process of its own.

        `program` is the text that runs it, and its own arguments; `under` is a command that starts it.
        """
        return self._start([*program, "exp", target, *arguments], under)

    def _start(self, words: Sequence[str], under: Sequence[str] = ()) -> subprocess.Popen[str]:
        kept = ("PATH", "SYSTEMROOT", "HOME", "TMP", "TEMP", "COVERAGE_PROCESS_START")
        environ = {name: os.environ[name] for name in kept if name in os.environ} | self.environ
        return subprocess.Popen(
            [*under, sys.executable, "-c", *words],
            cwd=self.root,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def exp(self, *arguments: str, target: str = "experiments/study.py", under: Sequence[str] = ()) -> Finished:
        """Run `llmbatch exp` to its end."""
        with self.start(*arguments, target=target, under=under) as process:
            out, err = process.communicate(timeout=120)
        return Finished(process.returncode, out, err)

    def command(self, *arguments: str) -> Finished:
        """Run any command of `llmbatch` to its end."""
        with self._start([PROGRAM, *arguments]) as process:
            out, err = process.communicate(timeout=120)
        return Finished(process.returncode, out, err)

    def run_folders(self) -> list[Path]:
        """Return the folders of the runs so far, the oldest first."""
        return sorted((self.root / "results" / "study").iterdir(), key=lambda path: (len(path.name) > 20, path.name))

    def rows_file(self) -> Path:
        """Return the Parquet file of the newest run."""
        return max(self.run_folders(), key=lambda path: path.stat().st_mtime_ns) / "rows.parquet"

    def rows(self) -> pl.DataFrame:
        """Return the rows of the newest run."""
        return pl.read_parquet(self.rows_file())


def commits(number: int, *, first: int = 0, text: str = "change") -> list[dict[str, Any]]:
    """Return labelled samples with ids s0000, s0001, ...; equal calls give equal samples."""
    labels = ("corrective", "adaptive", "perfective")
    return [
        {"id": f"s{index:04}", "message": f"{text} number {index}", "label": labels[index % 3]}
        for index in range(first, first + number)
    ]
