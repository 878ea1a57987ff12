"""Files in the parts of a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmbatch.errors import PromptError
from llmbatch.prompt import Template, attached


def parts(*given: Any, base: Path) -> Any:
    turn = {"role": "user", "content": list(given)}
    return Template.from_messages([turn], base_folders=[base / "experiments", base]).render({})[0]["content"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "a.JPG").write_bytes(b"beside")
    (tmp_path / "a.JPG").write_bytes(b"root")
    (tmp_path / "b.png").write_bytes(b"b")
    (tmp_path / "odd.xyz").write_bytes(b"x")
    return tmp_path


def test_a_path_is_looked_for_as_samples_are(base: Path) -> None:
    """Beside the experiment first; the bytes enter the body, so another image is another question."""
    found = parts({"url": Path("a.JPG")}, {"url": Path("b.png")}, {"url": base / "a.JPG"}, "text", base=base)

    assert [
        {"url": "data:image/jpeg;base64,YmVzaWRl"},
        {"url": "data:image/png;base64,Yg=="},
        {"url": "data:image/jpeg;base64,cm9vdA=="},
        "text",
    ] == found


@pytest.mark.parametrize(
    ("part", "message", "place"),
    [
        (
            {"image_url": {"url": Path("none.png")}},
            "there is no file 'none.png'",
            "image_url.url",
        ),
        ({"image_url": {"url": Path("odd.xyz")}}, "odd.xyz has no suffix", "image_url.url"),
        ({"files": [Path("b.png"), Path("big.pdf")]}, "big.pdf is larger", "files[1]"),
        ({"input_audio": {"data": Path("odd.xyz")}}, "odd.xyz has no suffix", "input_audio.data"),
    ],
)
def test_what_cannot_be_sent_is_an_error_at_its_place(
    base: Path, monkeypatch: pytest.MonkeyPatch, part: Any, message: str, place: str
) -> None:
    """Found when the question is put: nothing is sent for it."""
    monkeypatch.setattr(attached, "LARGEST_FILE_BYTES", 100)
    (base / "big.pdf").write_bytes(b"0" * 101)
    with pytest.raises(PromptError, match=message) as raised:
        parts(part, base=base)

    assert f"messages[0].content[0].{place}" == raised.value.place


def test_a_path_is_read_in_parts_alone_and_never_sent_as_the_text_it_is(base: Path) -> None:
    """Parts may be a tuple; a path in the place of parts is a mistake, of which a model would be told the name."""
    sent = Template.from_messages([{"role": "user", "content": ({"url": Path("b.png")},)}], base_folders=[base])

    assert [{"url": "data:image/png;base64,Yg=="}] == sent.render({})[0]["content"]
    with pytest.raises(PromptError, match=r"is the path 'b.png'"):
        Template.from_messages([{"role": "user", "content": Path("b.png")}], base_folders=[base])
