"""What comes of each structured mode at each scripted service: the table of docs/services.md.

    python -m tests.dialects.mode_table

For each dialect one question is asked in every mode, and one in the mode that llmbatch chooses where none is
configured. `yes`: the mode is followed; `passed over`: it is accepted and not followed; `refused`: it is an error.
What stands behind it is the status of the row.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import get_args

from llmbatch.config import StructuredMode
from tests.dialects.study import FIRST, make_study
from tests.support.dialects import DIALECTS, KEY, Dialect, Service
from tests.support.project import KEY_VARIABLE

MODES: tuple[StructuredMode, ...] = get_args(StructuredMode)


def main() -> None:
    os.environ.pop("CI", None)
    os.environ[KEY_VARIABLE] = KEY
    print(f"| service | {' | '.join(f'`{mode}`' for mode in MODES)} | chosen |")
    print("|---|" + "---|" * (len(MODES) + 1))
    for dialect in DIALECTS:
        cells = [f"{_taken(dialect, mode)}, `{_asked(dialect, mode)['llmbatch_status']}`" for mode in MODES]
        row = _asked(dialect, None)
        print(f"| {dialect.name} | {' | '.join(cells)} | `{row['llmbatch_mode']}`, `{row['llmbatch_status']}` |")


def _taken(dialect: type[Dialect], mode: StructuredMode) -> str:
    if mode in dialect.refuses:
        return "refused"
    return "yes" if mode in dialect.honours else "passed over"


def _asked(dialect: type[Dialect], mode: StructuredMode | None) -> dict[str, str]:
    """Return the row of one question."""
    with tempfile.TemporaryDirectory() as folder, Service(dialect(), mode) as service:
        study = make_study(Path(folder), service, [], mode)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            study.run()
        return study.by_scene()[FIRST]


if __name__ == "__main__":
    main()
