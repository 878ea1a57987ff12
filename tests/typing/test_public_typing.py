"""The public API is typed: what authors write checks, and what is wrong does not."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent / "examples"
ROOT = Path(__file__).parents[2]


def test_experiment_files_pass_the_strict_type_checker_and_mistakes_do_not() -> None:
    """API.md: checkers see shapes, options and returns; an ignore that hides no error is reported as unused."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", ".mypy_cache/examples"]

    done = subprocess.run([*command, str(EXAMPLES)], cwd=ROOT, capture_output=True, text=True, check=False)

    complaints = [line for line in done.stdout.splitlines() if "examples" in line.partition(":")[0]]
    assert complaints == [], done.stderr
    assert done.returncode in {0, 1}, done.stderr
