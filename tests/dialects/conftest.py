"""A project beside a scripted service, and the command line run over it in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from llmbatch.cli import main
from llmbatch.config import StructuredMode
from tests.support.dialects import KEY, Service
from tests.support.project import KEY_VARIABLE, Project

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


class Study(Project):
    """An experiment with a sample for each scene, whose only model is the service's."""

    def run(self, *arguments: str) -> int:
        """Run the command line in this process, and return its exit code."""
        return main(["exp", str(self.root / "experiments" / "study.py"), *arguments])

    def by_scene(self) -> dict[str, dict[str, Any]]:
        """Return the rows of the newest run by the scene of their sample."""
        return {row["id"]: row for row in self.rows().iter_rows(named=True)}


MakeStudy = Callable[[Service, Sequence[str], StructuredMode | None], Study]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeStudy:
    """Make a study of a service; its first question gets a good answer, which the others wait for."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv(KEY_VARIABLE, KEY)

    def make(service: Service, scenes: Sequence[str], mode: StructuredMode | None) -> Study:
        made = Study(tmp_path, service.address, key=KEY)
        settings = f'model = "service/{service.dialect.model}"\nmax_retries = 0\n'
        text = settings + service.dialect.configuration(service.address, mode)
        (made.root / "llmbatch.toml").write_text(text, encoding="utf-8")
        made.write_experiment(EXPERIMENT)
        made.write_samples([{"id": scene, "message": f"[[{scene}]] a commit"} for scene in ("first good", *scenes)])
        return made

    return make
