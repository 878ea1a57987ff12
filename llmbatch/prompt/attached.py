"""Files in the parts of a message: a `pathlib.Path` is read where a part has its data. No sample can hold one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from llmbatch.errors import PromptError
from llmbatch.samples.location import candidates, joined, shown

LARGEST_FILE_BYTES = 20_000_000
"""The largest file that is sent: services refuse larger ones, and the cassette has it with each question about it."""

# not those of the machine, which differ
_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".json": "application/json",
}
_BARE = "data"
"""The member whose base64 stands alone, as in `input_audio`; every other member takes a data URL."""


def with_files(part: Any, base_folders: Sequence[Path], *, place: str) -> Any:
    """Return the part with every Path in it read: a data URL with the media type of its suffix, or bare base64.

    A relative path is looked for as samples are. Raises PromptError at the member for a file that is not there, is too
    large or of no known type.
    """
    if isinstance(part, PurePath):
        return _encoded(part, base_folders, place, bare=place.endswith(f".{_BARE}"))
    if isinstance(part, Mapping):
        return {key: with_files(inner, base_folders, place=f"{place}.{key}") for key, inner in part.items()}
    if isinstance(part, list | tuple):
        return [with_files(inner, base_folders, place=f"{place}[{at}]") for at, inner in enumerate(part)]
    return part


def _encoded(path: PurePath, base_folders: Sequence[Path], place: str, *, bare: bool) -> str:
    media_type = _MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        what = f"{path.name} has no suffix that tells what it is"
        fix = "rename it, or encode it yourself, and give text"
        raise PromptError(what, place=place, known=joined(_MEDIA_TYPES, most=20), fix=fix)
    tried = candidates(Path(path), base_folders)
    found = next((each for each in tried if each.is_file()), None)
    if found is None:
        where = "\n".join(shown(each, base_folders) for each in tried)
        fix = "a path is relative to the experiment's folder, then to the project root"
        raise PromptError(f"there is no file {path.as_posix()!r}", place=place, tried=where, fix=fix)
    content = _read(found, place)
    text = b64encode(content).decode("ascii")
    return text if bare else f"data:{media_type};base64,{text}"


def _read(path: Path, place: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise PromptError(f"{path.name} cannot be read: {error.strerror or error}", place=place) from error
    if len(content) > LARGEST_FILE_BYTES:
        what = f"{path.name} is larger than {LARGEST_FILE_BYTES:,} bytes"
        raise PromptError(what, place=place, fix="send a smaller one, or its address as text")
    return content
