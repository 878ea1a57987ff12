"""Prompt files: front matter, lines, and where a name may lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.errors import PromptError
from llmbatch.prompt import DEFAULT_SYSTEM, Prompts, find_prompt, is_prompt_file, parse_prompt_file, parse_prompt_text

FULL = """---
system: |
  You judge {project}.

  Be brief.
shots:
  - user: "{example}"
    assistant: yes
  - user: |
      two
      {other}
    assistant: 42
---

Judge
{message}
---
still the text

"""


def test_front_matter_gives_system_message_and_shots_in_order() -> None:
    """The turns are system, the shots, then the body; scalars are texts as written."""
    fields = dict.fromkeys(["project", "example", "other", "message"], "V")

    messages = parse_prompt_text(FULL, place="p.md").render(fields)

    assert [(one["role"], one["content"]) for one in messages] == [
        ("system", "You judge V.\n\nBe brief."),
        ("user", "V"),
        ("assistant", "yes"),
        ("user", "two\nV"),
        ("assistant", "42"),
        ("user", "Judge\nV\n---\nstill the text"),
    ]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_placeholders_know_their_line_in_the_file(ends: str) -> None:
    """An error points at the line an editor shows, front matter or body."""
    template = parse_prompt_text(FULL.replace("\n", ends), place="p.md")

    assert template.placeholders == (("project", 3), ("example", 7), ("other", 11), ("message", 16))


@pytest.mark.parametrize(
    ("front", "system"),
    [
        ("", [DEFAULT_SYSTEM]),
        ("---\n---\n", [DEFAULT_SYSTEM]),
        ("---\nshots: []\n---\n", [DEFAULT_SYSTEM]),
        ("---\nsystem: ''\n---\n", []),
        ("---\nsystem:\n---\n", []),
        ("---\nsystem: null\n---\n", []),
        ("---\nsystem: off\n---\n", ["off"]),
    ],
)
def test_the_system_message_has_a_default_and_can_be_left_out(front: str, system: list[str]) -> None:
    """Nothing said: the default; empty or null: no system turn."""
    messages = parse_prompt_text(front + "Hi", place="p.md").render({})

    assert [one["content"] for one in messages] == [*system, "Hi"]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("---\nsistem: x\n---\nHi", "p.md:2", "unknown key `sistem`"),
        ("---\nsystem: a\nsystem: b\n---\nHi", "p.md:3", "twice"),
        ("---\nsystem: x\nHi", "p.md:1", "never closed"),
        ("---\nsystem: [a\n---\nHi", "p.md:3", "not YAML"),
        ("---\nsystem: [a]\n---\nHi", "p.md:2", "not a text"),
        ("---\njust words\n---\nHi", "p.md:2", "not a mapping"),
        ("---\nshots:\n  user: a\n---\nHi", "p.md:2", "not a list"),
        ("---\nshots:\n  - user: a\n---\nHi", "p.md:3", "no `assistant`"),
        ("---\nshots:\n  - user: a\n    asistant: b\n---\nHi", "p.md:4", "unknown key `asistant`"),
        ("---\nsystem: !!python/object/apply:os.system ['true']\n---\nHi", "p.md:2", "not a text"),
        ("---\nsystem: !!python/name:os.system x\n---\nHi", "p.md:2", "not a text"),
        ("---\nsystem: x\n---\n \n", "p.md:4", "no text"),
        ("", "p.md:1", "no text"),
    ],
)
def test_front_matter_that_is_not_understood_is_an_error_at_its_line(text: str, place: str, what: str) -> None:
    """Nothing in front matter is passed over in silence."""
    with pytest.raises(PromptError) as caught:
        parse_prompt_text(text, place="p.md")

    assert what in caught.value.what
    assert caught.value.place == place
    assert caught.value.details["fix"]


@pytest.mark.parametrize("front", ["system: " + "[" * 20_000, "a: &a [x]\n" + "b: [*a, *a]\n" * 5000])
def test_hostile_front_matter_is_refused_and_builds_nothing(front: str) -> None:
    """Depth and aliases end in an error of ours, not in a crash or a full memory."""
    with pytest.raises(PromptError):
        parse_prompt_text(f"---\n{front}\n---\nHi", place="p.md")


def test_blank_lines_around_the_text_go_and_all_else_stays() -> None:
    """Indentation and spaces inside are the author's."""
    messages = parse_prompt_text("\n \n    code\n\n  end  \n\n", place="p.md").render({})

    assert messages[-1]["content"] == "    code\n\n  end  "


def test_a_file_that_is_not_utf8_names_its_line(tmp_path: Path) -> None:
    """A file saved by an old editor is said to be one."""
    path = tmp_path / "p.md"
    path.write_bytes(b"one\ntwo \xe4\n")

    with pytest.raises(PromptError) as caught:
        parse_prompt_file(path)

    assert caught.value.place == f"{path.as_posix()}:2"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a.md", True),
        ("review/useful.txt", True),
        ("Is it a.md", False),
        ("a.json", False),
        ("text\n.md", False),
        (Path("a"), True),
    ],
)
def test_one_word_with_a_known_suffix_is_a_file(prompt: str | Path, expected: bool) -> None:
    """Any other string is the text itself."""
    assert is_prompt_file(prompt) is expected


def project(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "experiments", tmp_path]
    for folder in folders:
        (folder / "prompts" / "review").mkdir(parents=True)
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "prompts" / "review" / "useful.md").write_text("Root {x}")
    return folders


def test_the_experiments_own_prompt_comes_before_the_projects(tmp_path: Path) -> None:
    """The same name in both folders means the nearer file."""
    folders = project(tmp_path)
    assert find_prompt("review/useful.md", folders) == tmp_path / "prompts/review/useful.md"

    (folders[0] / "prompts" / "review" / "useful.md").write_text("Own {x}")

    assert find_prompt("review/useful.md", folders) == folders[0] / "prompts/review/useful.md"


@pytest.mark.parametrize(
    "name", ["../secret.md", "review/../../secret.md", "/etc/motd.txt", "..\\secret.md", "C:secret.md"]
)
def test_a_name_never_leads_out_of_the_prompts_folder(tmp_path: Path, name: str) -> None:
    """A shared experiment cannot send another file of this machine to a model by a string."""
    with pytest.raises(PromptError, match="leads out"):
        find_prompt(name, project(tmp_path))


def test_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    """Nor by a link."""
    folders = project(tmp_path / "project")
    (tmp_path / "outside.md").write_text("secret")
    link = folders[1] / "prompts" / "link.md"
    try:
        link.symlink_to(tmp_path / "outside.md")
    except OSError:
        pytest.skip("this system allows no links here")

    with pytest.raises(PromptError, match="link"):
        find_prompt("link.md", folders)


def test_a_path_may_lead_anywhere_since_the_author_wrote_it(tmp_path: Path) -> None:
    """A pathlib.Path is tried from each base folder, and may be absolute."""
    folders = project(tmp_path)

    assert find_prompt(Path("secret.md"), folders) == tmp_path / "secret.md"
    assert find_prompt(tmp_path / "secret.md", folders) == tmp_path / "secret.md"
    assert find_prompt(Path("review/useful.md"), folders) == tmp_path / "prompts/review/useful.md"


def test_a_missing_prompt_names_the_nearest(tmp_path: Path) -> None:
    """The fix is the name to write."""
    with pytest.raises(PromptError) as caught:
        find_prompt("review/usefull.md", project(tmp_path))

    assert caught.value.details["fix"] == "write 'review/useful.md'"


def test_a_file_is_read_once_in_a_run_and_shown_from_the_project_root(tmp_path: Path) -> None:
    """An edit while a run goes on cannot split it in two versions."""
    prompts = Prompts(project(tmp_path))
    first = prompts.get("review/useful.md")

    (tmp_path / "prompts" / "review" / "useful.md").write_text("Edited")

    assert prompts.get("review/useful.md") is first
    assert first.place == "prompts/review/useful.md"


def test_inline_texts_are_templates_unless_verbatim() -> None:
    """The text itself is the user turn, with the default system message."""
    prompts = Prompts([])

    assert prompts.get("Is {x} so?").render({"x": 1})[-1]["content"] == "Is 1 so?"
    assert prompts.get("Is {x} so?") is prompts.get("Is {x} so?")
    assert prompts.get("Is {x} so? {", verbatim=True).render({})[-1]["content"] == "Is {x} so? {"
    assert prompts.get([{"role": "user", "content": "{x}"}]).render({"x": 1}) == [{"role": "user", "content": "1"}]


def test_inline_texts_made_for_every_sample_do_not_fill_the_memory() -> None:
    """Only some hundreds are kept."""
    prompts = Prompts([])

    for number in range(2000):
        prompts.get(f"Is {number} prime?")

    assert len(prompts._texts) <= 512
