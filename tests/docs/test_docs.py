"""What the pages say is what the code does: flags, names, columns, keys, links, listings and examples."""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import llmbatch
from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette import scrub
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.exchange.frame import COLUMNS
from llmbatch.cli.arguments import build_parser
from llmbatch.collect import collect
from llmbatch.columns import OWN_COLUMNS, PROBABILITY_COLUMNS
from llmbatch.config import load_config
from llmbatch.config.values import KNOWN_ENDPOINTS
from llmbatch.errors import ConfigError, ExitCode
from llmbatch.experiment.ask import AskOptions
from llmbatch.invocation.options import FORMATS, MODES, RunOptions
from llmbatch.parse.probability.doubts import Source
from llmbatch.plan import build_plan
from llmbatch.tables.builtin.agreement import AGREEMENT_SCHEMA
from llmbatch.tables.builtin.calls import CALLS_SCHEMA
from llmbatch.tables.builtin.classes import PER_CLASS_SCHEMA
from llmbatch.tables.builtin.failures import FAILURES_SCHEMA
from llmbatch.tables.builtin.majority import FREQUENCIES_SCHEMA, MAJORITY_SCHEMA, VOTES_SCHEMA
from llmbatch.tables.builtin.summary import SUMMARY_SCHEMA

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/**/*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
NOT_ROOMS = {"__init__", "py.typed"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", read(name), re.DOTALL | re.MULTILINE)


def prose(name: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", read(name), flags=re.DOTALL | re.MULTILINE)


def code_spans(name: str) -> str:
    """Return all that stands between single backticks, one a line."""
    return "\n".join(re.findall(r"`([^`\n]+)`", prose(name)))


def section(name: str, title: str) -> str:
    """Return what stands under the heading that begins with the title, up to the next heading."""
    found = re.search(rf"^#+ {re.escape(title)}[^\n]*\n(.*?)(?=^#+ |\Z)", read(name), re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def first_cells(text: str) -> set[str]:
    """Return the code spans of the first column of the tables in a text."""
    cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {span for cell in cells for span in re.findall(r"`([^`]+)`", cell)}


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


def command(*names: str) -> argparse.ArgumentParser:
    """Return the parser of a command, or of a command's command."""
    parser: argparse.ArgumentParser = build_parser()
    for name in names:
        (choices,) = [each.choices for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
        parser = choices[name]
    return parser


def flags_of(*parsers: argparse.ArgumentParser) -> set[str]:
    return {flag for parser in parsers for action in parser._actions for flag in action.option_strings}


def flags() -> set[str]:
    return flags_of(*(each for each in parsers(build_parser()) if each.prog.split()[1:2] != ["cassette"]))


CASSETTE_COMMANDS = [each.prog.split()[-1] for each in list(parsers(command("cassette")))[1:]]


# the command line ------------------------------------------------------------------------------------------


def test_every_flag_is_documented_and_every_documented_flag_exists() -> None:
    """A flag that nobody can read about is as bad as one that is promised and not there."""
    text = read("docs/running.md")
    documented = set(re.findall(r"^-[a-z]\b", code_spans("docs/running.md"), re.MULTILINE))
    documented |= set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))

    assert flags() == documented


@pytest.mark.parametrize("name", CASSETTE_COMMANDS)
def test_every_flag_of_a_cassette_command_is_in_its_section(name: str) -> None:
    """One section a command, with its flags, no more and no fewer."""
    documented = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section("docs/cassettes.md", name)))
    documented |= set(re.findall(r"(?<=`)-[a-z]\b", section("docs/cassettes.md", name)))

    assert flags_of(command("cassette", name)) - {"-h", "--help"} == documented


def test_every_exit_code_mode_and_format_is_documented() -> None:
    """A script that starts runs needs them all."""
    codes = re.findall(r"^\| (\d) \|", section("docs/running.md", "Exit codes"), re.MULTILINE)
    spans = code_spans("docs/running.md").splitlines()

    assert [str(int(code)) for code in ExitCode] == codes
    assert set(MODES) == first_cells(section("docs/running.md", "Record modes")) - {"CI"}
    assert set(FORMATS) <= set(spans)


@pytest.mark.parametrize("name", ["README.md", "docs/experiments.md", "docs/shipped-example.md"])
def test_other_pages_name_flags_that_exist(name: str) -> None:
    """Only commands of llmbatch are looked at: other programs have flags of their own."""
    commands = re.findall(r"llmbatch exp[^\n`]*", read(name))
    named = {flag for command in commands for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", command)}

    assert set() == named - flags()


# names of the package --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", llmbatch.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    """In words, not only inside an example."""
    spans = code_spans("docs/experiments.md") + "\n" + code_spans("docs/running.md")

    assert re.search(rf"(?<!\w){name}(?!\w)", spans), f"no page for users says what {name} is"


def test_the_columns_and_sources_of_probabilities_are_documented() -> None:
    """Who reads a row of an ask with `probability_of` looks them up there."""
    cells = first_cells(section("docs/probabilities.md", "Columns"))

    assert {column.name for column in PROBABILITY_COLUMNS} | {"prob_source", *get_args(Source)} == cells


def test_every_option_of_ask_and_of_run_is_documented() -> None:
    """Both take keyword options that no editor shows with their meaning."""
    asked = first_cells(section("docs/experiments.md", "Asking"))
    run = first_cells(section("docs/running.md", "From Python"))

    assert set(AskOptions.__annotations__) == asked
    assert set(RunOptions.__annotations__) <= run


# results ---------------------------------------------------------------------------------------------------


def test_every_column_is_documented_in_the_order_of_a_row() -> None:
    """The page is read beside a table, from left to right."""
    documented = re.findall(r"^\| `(llmbatch_\w+)`", read("docs/results.md"), re.MULTILINE)

    assert [column.name for column in OWN_COLUMNS] == documented


def test_every_status_is_documented_once() -> None:
    """A status is what a reader of a row looks up first."""
    documented = re.findall(r"^\| `(\w+)` \|", section("docs/results.md", "Statuses"), re.MULTILINE)

    assert sorted(str(kind) for kind in FailureKind) == sorted(documented)


def test_every_column_of_the_built_in_tables_is_documented() -> None:
    """The names are those of the files."""
    spans = set(code_spans("docs/results.md").replace(" / ", "\n").splitlines())

    assert set() == {*SUMMARY_SCHEMA, *PER_CLASS_SCHEMA, *FAILURES_SCHEMA, *CALLS_SCHEMA} - spans


@pytest.mark.parametrize(
    ("title", "schema"),
    [
        ("`agreement`", AGREEMENT_SCHEMA),
        ("`majority`", MAJORITY_SCHEMA),
        ("`votes`", VOTES_SCHEMA),
        ("`label_frequencies`", FREQUENCIES_SCHEMA),
    ],
)
def test_every_column_of_a_table_over_repeats_is_in_its_section(title: str, schema: dict[str, str]) -> None:
    """Each table has a section, and the section the columns of that table alone."""
    assert set(schema) == first_cells(section("docs/repeats.md", title).replace(" / ", "` `"))


# configuration ---------------------------------------------------------------------------------------------


def accepted(folder: Path, text: str) -> set[str]:
    """Return the keys a table takes, from the error for one that it does not."""
    (folder / "llmbatch.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_config(folder, {})
    return set(raised.value.details["known"].split(", "))


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Top level", "nonsense = 1"),
        ("An endpoint", '[endpoints.x]\nbase_url = "http://x/v1"\nnonsense = 1'),
        ("A model", '[endpoints.x]\nbase_url = "http://x/v1"\nmodels.y = { nonsense = 1 }'),
    ],
)
def test_every_configuration_key_is_documented(title: str, text: str, tmp_path: Path) -> None:
    """The code's own list of keys is the one it prints when it refuses another."""
    assert accepted(tmp_path, text) == first_cells(section("docs/configuration.md", title))


def test_the_known_endpoints_are_documented_as_they_are() -> None:
    """Names, addresses, key variables and how structure is asked for."""
    rows = section("docs/configuration.md", "Known endpoints")
    documented = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| `?(\w+)`? \| `?\"?([\w ]+)\"?`? \|$", rows, re.MULTILINE)

    known = KNOWN_ENDPOINTS.values()
    assert [
        (each.name, each.base_url, each.key_env or "none", each.declared or "not declared") for each in known
    ] == documented


@pytest.mark.parametrize("text", [*blocks("docs/configuration.md", "toml"), *blocks("docs/services.md", "toml")])
def test_every_configuration_example_can_be_read(text: str, tmp_path: Path) -> None:
    """What a page shows can be copied."""
    (tmp_path / "llmbatch.toml").write_text(text, encoding="utf-8")

    assert load_config(tmp_path, {}).source == tmp_path / "llmbatch.toml"


# the README ------------------------------------------------------------------------------------------------


def test_the_test_command_of_the_readme_is_the_one_that_ci_runs() -> None:
    """Character for character: a command that only continuous integration knows does not stay right."""
    command = read(".ci/run").splitlines()[-1]

    assert "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest" == command
    assert command in read("README.md").splitlines()[:30]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="what belongs to the project is known to git alone")
def test_the_listing_of_the_readme_names_what_is_there() -> None:
    """Top-level entries, and the rooms of the package: no more and no fewer."""
    command = ["git", "ls-files", "-z"]
    paths = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    listing = section("README.md", "What is where").strip().removeprefix("```\n").removesuffix("\n```").splitlines()
    entries = [line.split()[0].rstrip("/") for line in listing if not line.startswith(" ")]
    cells = [re.split(r" {2,}", line.strip())[0::2] for line in listing if line.startswith(" ")]

    assert sorted({path.split("/")[0] for path in paths}) == sorted(entries)
    rooms = {path.split("/")[1].removesuffix(".py") for path in paths if path.startswith("llmbatch/")}
    assert sorted(rooms - NOT_ROOMS) == sorted(room for line in cells for room in line)


def test_the_readme_is_short_and_begins_with_the_commands() -> None:
    """What it is, and how to see it run, stand on the first screen."""
    lines = read("README.md").splitlines()

    assert 130 > len(lines)
    assert any("exp experiments/commit_classify.py --offline" in line for line in lines[:15])


# every page ------------------------------------------------------------------------------------------------


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_lead_somewhere(name: str) -> None:
    """To a file of the project and, behind a #, to one of its headings."""
    page = ROOT / name
    for link in re.findall(r"\[[^\]\n]*\]\(([^)\s]+)\)", prose(name)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


@pytest.mark.parametrize("name", NAMES)
def test_no_page_names_a_path_of_one_machine(name: str) -> None:
    """Pages are read elsewhere."""
    assert [] == re.findall(r"(?<![\w./:])/(?:work|root|home|tmp|Users)\b\S*|[A-Z]:\\\S+", read(name))


@pytest.mark.parametrize("name", NAMES)
def test_python_examples_are_python(name: str) -> None:
    """They compile; an example may await at its top level, as in a notebook."""
    for text in blocks(name, "python"):
        compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def experiments() -> list[str]:
    found = [text for name in ("README.md", "docs/experiments.md") for text in blocks(name, "python")]
    return [text for text in found if re.search(r"^@task\(", text, re.MULTILINE)]


@pytest.mark.parametrize("text", experiments())
def test_examples_that_are_whole_experiments_can_be_planned(text: str, tmp_path: Path) -> None:
    """Collected, their columns checked, their samples read."""
    folder = tmp_path / "experiments"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "reviews.jsonl").write_text('{"id":"a","app":"b","review":"c","label":"d"}\n', encoding="utf-8")
    (folder / "example.py").write_text(text, encoding="utf-8")

    experiment = collect(folder / "example.py")

    declared = re.findall(r"^@task\(.*?^(?:async )?def (\w+)", text, re.DOTALL | re.MULTILINE)
    assert declared == [task.name for task in experiment.tasks]
    assert 0 < build_plan(experiment).count()


# the cassette's format -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader() -> dict[str, Any]:
    """The reader that the page prints, as a namespace."""
    text = next(text for text in blocks("docs/cassette-format.md", "python") if "def key_of" in text)
    namespace: dict[str, Any] = {}
    exec(compile(text, "docs/cassette-format.md", "exec", dont_inherit=True), namespace)
    return namespace


def test_the_worked_example_is_a_sound_segment(tmp_path: Path, reader: dict[str, Any]) -> None:
    """Its checksums and its key are those that the code computes, and stock YAML reads it."""
    segment = tmp_path / "segment-00001.yaml"
    [text] = blocks("docs/cassette-format.md", "yaml")
    segment.write_text(text, encoding="utf-8", newline="\n")
    [interaction] = reader["interactions"](segment)

    assert [] == llmbatch.Cassette(tmp_path).verify()
    assert interaction["key"] == reader["key_of"](interaction)
    assert [interaction] == yaml.safe_load(text)["interactions"]


def test_the_printed_reader_reads_the_golden_cassettes(reader: dict[str, Any]) -> None:
    """With what the page names as beyond it left out: multipart bodies, integers beyond 64 bits, older YAML bodies."""
    segments = sorted((ROOT / "tests" / "golden_cassettes").glob("*/segment-*.yaml"))
    found = [interaction for segment in segments for interaction in reader["interactions"](segment)]
    beyond = [each for each in found if reader["key_of"](each) != each["key"]]

    assert len(found) > 10
    assert {"multipart/form-data", "application/json"} >= {
        each["request"]["headers"]["content-type"][0].partition(";")[0] for each in beyond
    }
    assert 2 == len(beyond)


def test_the_printed_reader_reads_what_is_recorded(tmp_path: Path, reader: dict[str, Any]) -> None:
    """Any body and address; only multipart bodies and huge integers are beyond it, and the page says so."""
    urls = ["https://Example.com/v1?b=2&a=1", "http://127.0.0.1:8080", "http://[::1]:80/v1/chat/completions#top"]
    bodies = [None, b"", b"plain", b"\xff\xfe", b'{"b":[1.50,{"z":1,"a":2}],"a":"\xe2\x80\xa8"}', b" [1, 2]"]
    headers = {"content-type": "application/json", "openai-beta": "assistants=v2", "authorization": "Bearer x"}
    with Store(tmp_path, record_mode="new_episodes") as store:
        for url in urls:
            for repeat, body in enumerate(bodies):
                call = store.call(store.request("post", url, headers, body), repeat, 3)
                store.record(call, Reply(200, "OK", {}, "ä\x85".encode()), case=None)
    found = list(reader["interactions"](tmp_path / "segment-00001.yaml"))

    assert len(urls) * len(bodies) == len(found)
    assert [interaction["key"] for interaction in found] == [reader["key_of"](interaction) for interaction in found]
    assert {"ä\x85"} == {interaction["response"]["body"]["string"] for interaction in found}


def test_every_column_of_an_export_is_documented_in_its_order() -> None:
    """With its type, as polars names it."""
    types = {"str": "String", "int": "Int64", "instant": "Datetime"}
    rows = re.findall(r"^ +\| (`[^|]*) \| (\w+)", section("docs/cassettes.md", "export"), re.MULTILINE)
    documented = [(name, kind) for names, kind in rows for name in re.findall(r"`(\w+)`", names)]

    assert [(name, types[kind]) for name, kind in COLUMNS.items()] == [
        each for each in documented if each[1][0] in "SID"
    ]


def test_every_header_and_parameter_rule_is_documented() -> None:
    """Who shares a cassette must be able to see what is in it."""
    text = section("docs/cassette-format.md", "What is never stored")
    spans = set(re.findall(r"`([^`\n]+)`", text))
    parameters = {name for name in scrub._SECRET_PARAMETERS if not name.startswith("x-")}

    assert set() == {*scrub._RESPONSE_HEADERS, *scrub._CREDENTIALS, *scrub.KEY_HEADERS, *parameters} - spans
    assert {f"{scrub._RESPONSE_PREFIX}…", f"{scrub._CREDENTIAL_PREFIX}…", scrub.REPLACEMENT} <= spans
    assert str(scrub.SECRET_LENGTH) in text
