"""The fuzz targets on good inputs, and on what hypothesis makes of them: a short run without a fuzzer."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import CORPUS
from tests.fuzz.targets import TARGETS

TOKENS = [
    b"!!python/object/apply:os.system [x]",
    b"&a ",
    b"*a",
    b"<<: ",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"null",
    b"-1",
    b"1e999",
]
TOKENS += [
    b"{" * 40,
    b"[" * 2000,
    b"\xff",
    b"\xed\xa0\xbd",
    b"\\ud83d",
    b'"',
    b"'",
    b"9" * 5000,
    b"NaN",
    b"\n- ",
    b"\x85",
]


@st.composite
def bent(draw: st.DrawFn, name: str) -> bytes:
    """A good input with a few pieces cut out, doubled or put in."""
    data = draw(st.sampled_from(CORPUS[name]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        piece = draw(st.sampled_from([b"", data[start:end] * 2, *TOKENS]) | st.binary(max_size=4))
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_the_target_takes_its_good_inputs(name: str, tmp_path: Path) -> None:
    """Else a fuzzer would begin from nothing."""
    for data in CORPUS[name]:
        TARGETS[name](data, tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(name: str) -> None:
    """The same examples each time; fuzz_cassette.py looks for others."""
    examples = 60 if name == "import" else 300

    @given(bent(name))
    @settings(max_examples=examples, derandomize=True, database=None)
    def check(data: bytes) -> None:
        TARGETS[name](data, folder)

    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        check()
