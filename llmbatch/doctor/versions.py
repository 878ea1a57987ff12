"""Check: which versions are at work; what a report of a bug begins with."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from llmbatch.doctor.finding import Finding
from llmbatch.errors import ExitCode

LIBRARIES = ("llmbatch", "vcrpy", "openai", "pydantic", "aiohttp", "orjson", "polars")


def check(_cassette: Path | None) -> Iterator[Finding]:
    """Yield the versions; a library that is not installed is a problem of the installation."""
    found, missing = [f"Python {platform.python_version()} on {platform.system()}"], []
    for library in LIBRARIES:
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            missing.append(f"{library} is not installed: pip install {library}")
    yield Finding("versions", ", ".join(found), tuple(missing), ExitCode.USAGE)
