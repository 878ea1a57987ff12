"""Files of samples: every format gives the same samples, streamed, and a bad record costs only itself."""

from __future__ import annotations

import gzip
import json
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from llmbatch.call.failure import FailureKind
from llmbatch.errors import SampleError
from llmbatch.samples import Sample, Samples, open_samples
from llmbatch.samples.jsonl import LONGEST_LINE, exact_json, read_jsonl

ROWS: list[dict[str, object]] = [
    {"id": "a", "text": "one"},
    {"id": "b", "text": "zwölf\u2028\u0085 Zeilen"},
    {"id": "c", "text": ""},
]


def opened(path: Path, content: bytes, **options: object) -> Samples:
    path.write_bytes(content)
    return open_samples(path.name, base_folders=[path.parent], **options)  # type: ignore[arg-type]


def jsonl(rows: list[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def only_error(samples: Samples) -> Sample:
    [bad] = [sample for sample in samples if sample.error is not None]
    return bad


@pytest.mark.parametrize("name", ["s.jsonl", "s.ndjson", "s.jsonl.gz", "s.csv", "s.csv.gz", "s.parquet", "S.JSONL"])
def test_every_format_gives_the_same_samples(tmp_path: Path, name: str) -> None:
    """A sample's data and id depend on its content, not on the file's format."""
    path = tmp_path / name
    frame = pl.DataFrame(ROWS)
    if name.endswith("parquet"):
        frame.write_parquet(path)
    else:
        content = frame.write_csv().encode() if ".csv" in name else jsonl(ROWS)
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)

    samples = list(open_samples(name, base_folders=[tmp_path], truth="text"))

    assert [sample.data for sample in samples] == ROWS
    assert [sample.truth for sample in samples] == [row["text"] for row in ROWS]
    assert [sample.id for sample in samples] == [sample.id for sample in open_samples(ROWS)]


def test_lines_end_at_line_feeds_only_and_blank_ones_count_but_give_nothing(tmp_path: Path) -> None:
    """BOM, CRLF and blank lines are tolerated; places keep the file's own line numbers."""
    content = b'\xef\xbb\xbf{"a": "x\xe2\x80\xa8y"}\r\n\r\n  \n{"a": 2}'

    samples = list(opened(tmp_path / "s.jsonl", content))

    assert [(one.data["a"], one.place) for one in samples] == [("x\u2028y", "s.jsonl:1"), (2, "s.jsonl:4")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1', "not JSON"),
        (b"[1, 2]", "not a JSON object but an array"),
        (b"null", "not a JSON object but null"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": 1e400}', "not JSON"),
        (b'{"a": 1e400, "b": 99999999999999999999}', "not JSON"),
        (b'{"a": NaN, "b": 99999999999999999999}', "NaN is not JSON"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "not JSON"),
        (b'{"n": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_bad_line_is_a_sample_with_an_error_and_the_others_stay(tmp_path: Path, line: bytes, reason: str) -> None:
    """One bad line never stops a run, never disappears, and names file and line."""
    samples = list(opened(tmp_path / "s.jsonl", b'{"a": 1}\n' + line + b'\n{"a": 3}\n'))

    assert [one.error and one.error.kind for one in samples] == [None, FailureKind.SAMPLE_ERROR, None]
    assert samples[1].error is not None
    assert samples[1].error.message.startswith("s.jsonl:2: ")
    assert reason in samples[1].error.message
    assert len({one.id for one in samples}) == 3


def test_a_strict_reader_raises_at_the_first_bad_line(tmp_path: Path) -> None:
    """Whoever wants no bad lines is told file and line."""
    samples = opened(tmp_path / "s.jsonl", b'{"a": 1}\n{"a"\n', strict=True)

    with pytest.raises(SampleError) as caught:
        list(samples)

    assert caught.value.place == "s.jsonl:2"


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the limit is a bad sample, and the line after it is read."""
    monkeypatch.setattr("llmbatch.samples.jsonl.LONGEST_LINE", 100)

    samples = list(opened(tmp_path / "s.jsonl", b'{"a": "' + b"x" * 5000 + b'"}\n{"a": 2}\n'))

    assert LONGEST_LINE == 64 * 1024 * 1024
    assert [one.error is not None for one in samples] == [True, False]
    assert samples[1].data == {"a": 2}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abcé"), json_values, max_size=4))
def test_json_is_read_without_loss(data: dict[str, object]) -> None:
    """Whatever JSON holds comes back equal and of the same types: integers of any length, floats exact."""
    read = exact_json(json.dumps(data).encode())

    assert repr(data) == repr(read)


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n,"')), min_size=2, max_size=2
        ),
        max_size=5,
    )
)
@settings(max_examples=50)
def test_csv_cells_come_back_as_written(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    """Quotes, commas and line ends inside cells, any script: what csv wrote is what a sample holds."""
    import csv

    path = tmp_path_factory.mktemp("csv") / "s.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["a", "b c"], *rows])

    samples = list(open_samples(path, base_folders=[]))

    assert [{"a": one, "b c": two} for one, two in rows] == [sample.data for sample in samples]


def test_a_ragged_row_and_a_row_in_another_encoding_are_bad_rows(tmp_path: Path) -> None:
    """CSV rows are told by the line they start at, and a bad one leaves the rest."""
    content = b'a,b\n1,"x\ny"\n1,2,3\n' + "ä,2\n".encode("cp1252") + b'"p"q,2\n\n5,6\n'

    samples = list(opened(tmp_path / "s.csv", content))

    assert [one.place for one in samples] == ["s.csv:2", "s.csv:4", "s.csv:5", "s.csv:6", "s.csv:8"]
    assert [
        next((word for word in ("3 cells", "UTF-8", "not CSV") if one.error and word in one.error.message), None)
        for one in samples
    ] == [None, "3 cells", "UTF-8", "not CSV", None]


@pytest.mark.parametrize(
    ("content", "what"),
    [(b'a,b\n1,2\n3,"4\n5,6\n', "never closed"), (b"a,b,a\n", "two columns"), (b"\xe4,b\n", "not UTF-8")],
)
def test_csv_that_cannot_be_told_apart_is_an_error(tmp_path: Path, content: bytes, what: str) -> None:
    """An open quote would swallow all rows after it: that is no bad row but a bad file."""
    samples = opened(tmp_path / "s.csv", content)

    with pytest.raises(SampleError, match=what):
        list(samples)


def test_parquet_values_become_json_like_and_nan_is_refused(tmp_path: Path) -> None:
    """Dates are ISO text, null is None, nested values stay; NaN is no value."""
    path = tmp_path / "s.parquet"
    frame = pl.DataFrame({"n": [1.5, float("nan"), None], "tags": [["a"], [], None]})
    frame.with_columns(when=pl.date(2024, 2, 29)).write_parquet(path)

    samples = list(open_samples(path, base_folders=[tmp_path]))

    assert samples[0].data == {"n": 1.5, "tags": ["a"], "when": "2024-02-29"}
    assert (samples[1].error and samples[1].error.message) == "s.parquet:2: nan is not a JSON number"
    assert samples[2].data == {"n": None, "tags": None, "when": "2024-02-29"}


@pytest.mark.parametrize(
    ("name", "content"), [("s.parquet", b"PAR?"), ("s.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9, mtime=0)[:-9])]
)
def test_a_file_damaged_as_a_whole_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    """A cut or wrong file must not look like a shorter one."""
    samples = opened(tmp_path / name, content)

    with pytest.raises(SampleError) as caught:
        list(samples)

    assert "fix" in caught.value.details


def test_a_file_that_changes_during_a_run_is_an_error(tmp_path: Path) -> None:
    """Two passes of one run must see the same samples."""
    path = tmp_path / "s.jsonl"
    samples = opened(path, b'{"a": 1}\n')
    assert samples.count() == 1

    path.write_bytes(b'{"a": 1}\n{"a": 2}\n')

    with pytest.raises(SampleError, match="changed while"):
        list(samples)


def test_a_path_is_looked_for_beside_the_experiment_first(tmp_path: Path) -> None:
    """The experiment's folder wins over the project root; the place is shown from the root."""
    folders = [tmp_path / "experiments", tmp_path]
    for folder in folders:
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "s.jsonl").write_text(json.dumps({"at": folder.name}) + "\n")

    first = open_samples("data/s.jsonl", base_folders=folders).first()

    assert first is not None
    assert first.data == {"at": "experiments"}
    assert first.place == "experiments/data/s.jsonl:1"


def test_a_missing_file_names_the_places_tried_and_the_nearest(tmp_path: Path) -> None:
    """The error is enough to put the path right."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "commits.jsonl").touch()

    with pytest.raises(SampleError) as caught:
        open_samples("data/comits.jsonl", base_folders=[tmp_path / "experiments", tmp_path])

    assert len(caught.value.details["tried"].splitlines()) == 2
    assert caught.value.details["fix"] == "write 'data/commits.jsonl'"


@pytest.mark.parametrize("name", ["s.json", "s.xlsx", "s", "s.tsv"])
def test_an_unknown_format_is_refused_with_what_to_write_instead(tmp_path: Path, name: str) -> None:
    """Formats go by suffix, and the error lists them."""
    with pytest.raises(SampleError) as caught:
        opened(tmp_path / name, b"[]")

    assert ".parquet" in caught.value.details["formats"]


class Commit(BaseModel):
    message: str
    lines: int


def test_a_shape_makes_the_value_and_its_errors_are_in_our_words(tmp_path: Path) -> None:
    """The task gets the model instance; a sample that does not fit says where, without a link."""
    rows: list[dict[str, object]] = [{"message": "m", "lines": "3"}, {"message": "m", "lines": "many"}]

    good, bad = opened(tmp_path / "s.jsonl", jsonl(rows), shape=Commit)

    assert Commit(message="m", lines=3) == good.value
    assert rows[0] == good.data
    assert bad.error is not None
    assert "not a Commit: lines: " in bad.error.message
    assert "'many'" in bad.error.message
    assert "http" not in bad.error.message
    assert rows[1] == bad.data


def test_a_missing_truth_names_the_nearest_field(tmp_path: Path) -> None:
    """A typo in `truth` is seen in the first error message."""
    bad = only_error(opened(tmp_path / "s.jsonl", b'{"label": 1, "text": 2}\n', truth="lable"))

    assert bad.error is not None
    assert "nearest: `label`" in bad.error.message


def test_a_task_that_changes_its_sample_does_not_change_the_row(tmp_path: Path) -> None:
    """From a file, `value` is a dict of its own."""
    [sample] = opened(tmp_path / "s.jsonl", b'{"a": 1}\n')

    sample.value.pop("a")

    assert sample.data == {"a": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
records = st.dictionaries(st.sampled_from(["id", "a", "é"]), json_values, max_size=3) | json_values


@given(st.lists(records.map(json.dumps) | st.sampled_from(["", "{", '{"id":"a",}', '{"id":"a","id":2}']), max_size=4))
def test_reading_one_field_alone_finds_what_reading_all_finds(lines: list[str]) -> None:
    """To count samples and look for equal ids, one field is enough, however the others are written."""
    stream = "\n".join(lines).encode()

    whole = [record.data.get("id") if record.data else None for record in read_jsonl(BytesIO(stream))]
    alone = [record.data.get("id") if record.data else None for record in read_jsonl(BytesIO(stream), only="id")]

    assert repr(whole) == repr([None if full is None else one for full, one in zip(whole, alone, strict=True)])
