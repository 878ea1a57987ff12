"""Coverage-guided fuzzing of the readers of foreign files, for as long as one likes.

    pip install atheris
    python tests/fuzz/fuzz_cassette.py line -max_total_time=3600

The first argument names a target of targets.py, the rest are libFuzzer's own; found inputs grow in a corpus
folder (`-corpus=DIR`, else a temporary one). atheris is no dependency of the project: the same targets run for a
moment, without it, in test_targets.py.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["llmbatch", "yaml"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.corpus import CORPUS


def main() -> None:
    """Run the target named on the command line until libFuzzer ends."""
    name, *options = sys.argv[1:] or ["?"]
    if name not in TARGETS:
        sys.exit(f"name a target: {', '.join(TARGETS)}")
    target = TARGETS[name]
    logging.disable()
    with tempfile.TemporaryDirectory() as scratch:
        given = [option.partition("=")[2] for option in options if option.startswith("-corpus=")]
        corpus = Path(given[0] if given else scratch) / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, good in enumerate(CORPUS[name]):
            (corpus / f"good-{number}").write_bytes(good)
        folder = Path(scratch) / "cassette"
        folder.mkdir()
        rest = [option for option in options if not option.startswith("-corpus=")]
        arguments = [sys.argv[0], str(corpus), "-max_len=20000", "-rss_limit_mb=1024", *rest]
        atheris.Setup(arguments, lambda data: target(data, folder))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
