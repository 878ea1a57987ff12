"""The size of a cassette's files is the project's to say."""

from __future__ import annotations

import pytest

from llmbatch.cassette.store import Store
from tests.support.project import Project, commits

pytestmark = pytest.mark.system


def test_a_project_says_how_large_the_files_of_its_cassettes_grow(project: Project) -> None:
    """For a git host that takes less than 45 MB; however many there are, they are one cassette."""
    project.configure("segment_mb = 1")
    project.write_samples(commits(40, text="0123456789" * 2000))
    recorded = project.exp("--quiet")
    assert recorded.code == 0, recorded.err
    sizes = [path.stat().st_size for path in project.cassette.glob("segment-*.yaml")]

    assert len(sizes) == 2
    assert max(sizes) <= 1_000_000 < sum(sizes)
    with Store(project.cassette) as store:
        assert (80, []) == (len(store), store.verify())
