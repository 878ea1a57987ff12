"""An experiment whose only model is a scripted service's, with a sample for each scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmbatch.cli import main
from llmbatch.config import StructuredMode
from tests.support.dialects import KEY, Service
from tests.support.project import Project

EXPERIMENT = """
from typing import Any, Literal
from pydantic import BaseModel
from llmbatch import Answer, Ask, task

class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]

@task(samples="data/commits.jsonl", id="id")
async def classify(sample: dict[str, Any], ask: Ask) -> Answer[Verdict]:
    return await ask(Verdict, "classify.md", sample)
"""
FIRST = "first good"
"""The first sample's scene: a good answer, for which the others wait."""


class Study(Project):
    """A project and the command line run over it in this process."""

    def run(self, *arguments: str) -> int:
        """Run `llmbatch exp`, and return its exit code."""
        return main(["exp", str(self.root / "experiments" / "study.py"), *arguments])

    def by_scene(self) -> dict[str, dict[str, Any]]:
        """Return the rows of the newest run by the scene of their sample."""
        return {row["id"]: row for row in self.rows().iter_rows(named=True)}


def make_study(folder: Path, service: Service, scenes: Sequence[str], mode: StructuredMode | None) -> Study:
    """Return a study of a service that is asked in a mode; None leaves the mode to llmbatch."""
    made = Study(folder, service.address, key=KEY)
    settings = f'model = "service/{service.dialect.model}"\nmax_retries = 0\n'
    text = settings + service.dialect.configuration(service.address, mode)
    (made.root / "llmbatch.toml").write_text(text, encoding="utf-8")
    made.write_experiment(EXPERIMENT)
    made.write_samples([{"id": scene, "message": f"[[{scene}]] a commit"} for scene in (FIRST, *scenes)])
    return made
