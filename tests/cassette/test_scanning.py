"""Opening a cassette looks at the frame of each line alone, whatever the lines are; hostile files cost nothing."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmbatch.call.values import Call, Reply, Request
from llmbatch.cassette import scanning
from llmbatch.cassette.line import encode, frame, with_crc
from llmbatch.cassette.scanning import lines_seen
from llmbatch.cassette.segment import METADATA_CAP, Metadata, header_bytes
from llmbatch.cassette.store import Store
from llmbatch.errors import CassetteDamaged, ConfigError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GIB = 1 << 30
FLAT_BYTES = 4 << 20


def line_of(number: int, size: int, generation: int) -> bytes:
    call = Call(Request("POST", "https://e/v1", {}, b"x" * size, b""), 0, 0, number.to_bytes(16, "big"))
    return encode(call, Reply(200, "OK", {}, b"r"), generation=generation, case=None)


def seen_in(content: bytes, path: Path) -> list[scanning.Seen]:
    path.write_bytes(content)
    with io.FileIO(path) as stream:
        return list(lines_seen(path, stream, 0))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 900), st.sampled_from([0, 0, 0, 1, 27]))),
    st.integers(0, 400),
    st.integers(150, 1500),
)
def test_all_whole_lines_are_seen_at_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: list[tuple[int, int, int]], torn: int, buffer_bytes: int
) -> None:
    """As reading line by line finds them; wherever the buffer ends, in a line, between two, or in a long one."""
    monkeypatch.setattr(scanning, "_BUFFER_BYTES", buffer_bytes)
    lines = [line_of(*part) for part in parts]
    expected, offset = [], 0
    for line in lines:
        expected.append((*frame(line), offset, len(line)))
        offset += len(line)

    assert expected == seen_in(b"".join(lines) + line_of(1, 100, 0)[:torn].rstrip(b"\n"), tmp_path / "file")


def test_short_reads_lose_nothing(tmp_path: Path) -> None:
    """Some file systems give fewer bytes than were asked for long before the end."""

    class Reluctant(io.FileIO):
        def readinto(self, buffer: WriteableBuffer, /) -> int:
            return super().readinto(memoryview(buffer)[:100])

    path = tmp_path / "file"
    lines = [line_of(number, 300, 0) for number in range(50)]
    path.write_bytes(b"".join(lines))
    with Reluctant(path) as stream:
        assert [frame(line).key for line in lines] == [key for key, _, _, _ in lines_seen(path, stream, 0)]


def test_a_line_longer_than_the_buffer_is_seen_without_being_held(tmp_path: Path) -> None:
    """Of a megabyte as of a kilobyte only the two ends are looked at."""
    lines = [line_of(1, 10, 0), line_of(2, 30 << 20, 3), line_of(3, 10, 0)]
    path = tmp_path / "file"
    path.write_bytes(b"".join(lines))
    tracemalloc.start()
    try:
        with io.FileIO(path) as stream:
            seen = list(lines_seen(path, stream, 0))
        assert tracemalloc.get_traced_memory()[1] < FLAT_BYTES
    finally:
        tracemalloc.stop()

    assert [len(line) for line in lines] == [length for _, _, _, length in seen]
    assert [generation for _, generation, _, _ in seen] == [0, 3, 0]


@pytest.mark.parametrize("before", ["nothing", "the metadata's prefix", "a header", "a line"])
def test_three_gigabytes_without_a_newline_are_refused_in_little_memory(tmp_path: Path, before: str) -> None:
    """A stranger's sparse file takes no room in the archive, and must take none of ours."""
    whole = {
        "nothing": b"",
        "the metadata's prefix": b"version: 1\nmetadata: ",
        "a header": header_bytes(Metadata()),
        "a line": header_bytes(Metadata()) + line_of(1, 10, 0),
    }[before]
    path = tmp_path / "segment-00001.yaml"
    path.write_bytes(whole)
    with path.open("r+b") as stream:
        stream.truncate(3 * GIB)
    if getattr(path.stat(), "st_blocks", 0) * 512 > GIB:
        pytest.skip("this file system has no sparse files")
    tracemalloc.start()
    try:
        with pytest.raises(CassetteDamaged, match=r"longer than 67108864|does not open as a segment") as caught:
            Store(tmp_path).open()
        assert tracemalloc.get_traced_memory()[1] < FLAT_BYTES
    finally:
        tracemalloc.stop()
    assert str(path) == caught.value.details["file"]


def test_deeply_nested_json_ends_in_an_error_and_not_in_a_crash(tmp_path: Path) -> None:
    """In a process of its own, which a crash would end by a signal. orjson refuses beyond 1,024 levels."""
    deep = b"[" * 100_000 + b"]" * 100_000
    line = line_of(1, 3, 0)
    payload = line[2:-18].replace(b'"body":"xxx"', b'"body":' + deep)
    (tmp_path / "metadata").mkdir()
    (tmp_path / "line").mkdir()
    metadata = b"version: 1\n" + with_crc(b"metadata: ", b'{"format":' + deep + b"}") + b"interactions:\n"
    (tmp_path / "metadata" / "segment-00001.yaml").write_bytes(metadata + line)
    (tmp_path / "line" / "segment-00001.yaml").write_bytes(header_bytes(Metadata()) + with_crc(b"- ", payload))
    code = """
import sys
from pathlib import Path
from llmbatch.cassette.store import Store
from llmbatch.errors import CassetteDamaged
for name in ("metadata", "line"):
    try:
        with Store(Path(sys.argv[1]) / name) as store:
            print(len(store), store.find(bytes(15) + bytes([1])).body)
            list(store)
    except CassetteDamaged as error:
        print(name, error.what)
"""
    finished = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)

    first, second, third = finished.stdout.splitlines()
    assert "metadata the metadata of this file cannot be read" in first
    assert second == "1 b'r'"  # the answer is whole: a look-up does not parse the request
    assert "line a recorded line is damaged: it is not the JSON of an interaction" in third


def test_metadata_beyond_the_cap_are_neither_written_nor_read(tmp_path: Path) -> None:
    """What can be written can be read: the author is told before the first call."""
    prices = {f"endpoint/model-{number}": {"usd_per_million_in": "0.15"} for number in range(30_000)}
    with pytest.raises(ConfigError, match=f"{METADATA_CAP} is the most"):
        Store(tmp_path, record_mode="new_episodes", metadata=Metadata(prices=prices)).open()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("generation", [b"-1", b"1e3", b"0x1", b"1234567890", b"", b" 1", b"9" * 5000])
def test_a_generation_is_a_number_of_up_to_nine_digits(tmp_path: Path, generation: bytes) -> None:
    """Anything else could stand for another generation in another reader."""
    line = line_of(1, 10, 0).replace(b'"generation":0', b'"generation":' + generation)

    with pytest.raises(CassetteDamaged, match="generation"):
        seen_in(line, tmp_path / "file")


def test_a_file_number_beyond_the_index_is_refused(tmp_path: Path) -> None:
    """It is named, and not passed over as if it held no answers."""
    (tmp_path / "segment-16777216.yaml").write_bytes(header_bytes(Metadata()) + line_of(1, 10, 0))

    with pytest.raises(CassetteDamaged, match="beyond 16777215"):
        Store(tmp_path).open()
