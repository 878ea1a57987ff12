"""A cassette holds for another base URL only where it says so, and then for every client, replaying and recording."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.call.values import Reply
from llmbatch.cassette.aliases import ALIASES_FILE, Aliases, base_url_of, read_aliases, united
from llmbatch.cassette.recording.recorder import recording
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.alias import add_alias, merge_aliases, remove_alias
from llmbatch.cli import main
from llmbatch.errors import CassetteDamaged, CassetteLocked, DiskError, NoAnswerRecorded, UsageError
from tests.support.origin import origin

OLD, NEW = "http://127.0.0.1:8000/v1", "https://gpu7.example/v1"
HEADERS = {"content-type": "application/json"}


def record(folder: Path, *urls: str) -> None:
    with Store(folder, record_mode="new_episodes") as store:
        for url in urls:
            call = store.call(store.request("POST", url, HEADERS, b'{"a":1}'), 0, 0)
            store.record(call, Reply(200, "OK", {}, b"{}"))


def is_found(folder: Path, url: str) -> bool:
    with Store(folder) as store:
        return store.find(store.call(store.request("POST", url, HEADERS, b'{"a":1}'), 0, 0).key) is not None


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    """A cassette with one answer, recorded below OLD."""
    record(tmp_path / "tape", f"{OLD}/chat/completions")
    return tmp_path / "tape"


# which address is meant ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        (f"{NEW}/chat/completions", f"{OLD}/chat/completions"),
        (f"{NEW}/chat?api-version=1", f"{OLD}/chat?api-version=1"),
        ("HTTPS://GPU7.example:443/v1/chat", f"{OLD}/chat"),
        (NEW, OLD),
        (f"{NEW}?a=/", f"{OLD}?a=/"),
        (f"{NEW}/", f"{OLD}/"),
        (f"{NEW}//a%2Fb", f"{OLD}//a%2Fb"),
        ("https://gpu7.example/v1beta/chat", None),
        ("https://gpu7.example/V1/chat", None),
        ("https://gpu7.example/", None),
        ("https://gpu7.example:8443/v1/chat", None),
        ("http://gpu7.example/v1/chat", None),
        ("https://gpu7.example.org/v1/chat", None),
        ("https://other.example/?url=https://gpu7.example/v1", None),
        (f"{OLD}/chat", None),
        ("no url", None),
    ],
)
def test_only_what_is_below_the_base_url_is_rewritten(asked: str, recorded: str | None) -> None:
    """Scheme, host, port and whole path segments: `/v1` is not the beginning of `/v1beta`."""
    assert (recorded or asked) == Aliases({NEW: OLD}).recorded(asked)


def test_a_base_url_without_a_path_stands_for_one_with_a_path() -> None:
    """A reader's proxy may put the service at its root."""
    aliases = Aliases({"https://gpu7.example": OLD})

    assert (OLD, f"{OLD}/", f"{OLD}/chat") == tuple(
        aliases.recorded(url) for url in ("https://gpu7.example", "https://gpu7.example/", "https://gpu7.example/chat")
    )


hosts = st.sampled_from(["a.example", "b.example", "a.example:8000", "[::1]:80", "127.0.0.1"])
paths = st.lists(st.sampled_from(["v1", "v2", "v1beta", "api"]), max_size=3).map(
    lambda parts: "".join(f"/{p}" for p in parts)
)
bases = st.builds(
    lambda scheme, host, path: base_url_of(f"{scheme}://{host}{path}"), st.sampled_from(["http", "https"]), hosts, paths
)


@given(st.dictionaries(bases, bases, max_size=3), bases, st.sampled_from(["", "/", "/chat?x=1"]))
def test_rewriting_twice_is_rewriting_once(pairs: dict[str, str], base: str, rest: str) -> None:
    """Whatever aliases are accepted, an address has one meaning: there is no chain and no cycle."""
    try:
        aliases = Aliases(pairs)
    except UsageError:
        return
    once = aliases.recorded(base + rest)

    assert once == aliases.recorded(once)
    assert aliases.alias_of(once) is None


# through a cassette ----------------------------------------------------------------------------------------


def test_another_port_is_another_service_until_an_alias_says_otherwise(cassette: Path) -> None:
    """Never by chance: the same path and body at another address are another question."""
    asked = f"{NEW}/chat/completions"
    before = is_found(cassette, asked), is_found(cassette, "http://127.0.0.1:8001/v1/chat/completions")
    add_alias(cassette, NEW, OLD)

    assert (False, False) == before
    assert is_found(cassette, asked)
    assert is_found(cassette, f"{OLD}/chat/completions")
    assert not is_found(cassette, "http://127.0.0.1:8001/v1/chat/completions")
    assert [] == Store(cassette).verify()


def test_what_is_recorded_through_an_alias_lies_under_the_recorded_address(cassette: Path) -> None:
    """So it is found from both sides, and after the alias is gone; the segment's metadata stay the same."""
    add_alias(cassette, NEW, OLD)
    for url in (OLD, NEW):
        with Store(cassette, record_mode="new_episodes", metadata=Metadata(endpoints={"local": url})) as store:
            call = store.call(store.request("POST", f"{url}/embeddings", HEADERS, url.encode()), 0, 0)
            store.record(call, Reply(200, "OK", {}, b"{}"))
            assert store.recorded_base_url("local") in (None, OLD)
    remove_alias(cassette, NEW)
    with Store(cassette) as store:
        recorded = [interaction.call.request.url for interaction in store]

    assert [f"{OLD}/chat/completions", f"{OLD}/embeddings", f"{OLD}/embeddings"] == recorded
    assert ["segment-00001.yaml", "segment-00002.yaml"] == sorted(path.name for path in cassette.glob("seg*"))
    assert [] == list(cassette.glob("alias*"))


def test_any_http_is_replayed_and_recorded_through_an_alias(tmp_path: Path) -> None:
    """The recorder asks the same store: a foreign client needs no help."""
    with origin() as service, origin() as elsewhere:
        with Store(tmp_path, record_mode="new_episodes") as store, recording(store):
            first = requests.post(f"{service.url}/v1/a", data=b"x", timeout=30).json()
        add_alias(tmp_path, f"{elsewhere.url}/other", f"{service.url}/v1")
        with Store(tmp_path, record_mode="new_episodes") as store, recording(store):
            again = requests.post(f"{elsewhere.url}/other/a", data=b"x", timeout=30).json()
            more = requests.post(f"{elsewhere.url}/other/b", data=b"x", timeout=30).json()
        with Store(tmp_path) as store, recording(store):
            replayed = requests.post(f"{service.url}/v1/b", data=b"x", timeout=30).json()
            with pytest.raises(NoAnswerRecorded):
                requests.post(f"{elsewhere.url}/v1/b", data=b"x", timeout=30)

    assert first == again
    assert more == replayed
    assert [b"x"] == elsewhere.bodies  # the request went where it was sent to
    assert [] == Store(tmp_path).verify()


# what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "added"),
    [
        ({NEW: OLD}, (NEW, "http://c.example/v1")),  # two meanings
        ({NEW: OLD}, ("http://c.example", NEW)),  # a chain
        ({NEW: OLD}, (OLD, "http://c.example")),  # a chain from its other end
        ({NEW: OLD}, (f"{NEW}/sub", OLD)),  # an address below two aliases
        ({NEW: OLD}, ("https://gpu7.example", OLD)),
        ({}, (NEW, NEW)),
        ({}, (NEW, f"{NEW}/sub")),
        ({}, (f"{NEW}/sub", NEW)),
    ],
)
def test_an_address_has_one_meaning(pairs: dict[str, str], added: tuple[str, str], tmp_path: Path) -> None:
    """Chains, cycles and overlaps are refused, and the file stays as it was."""
    for alias in pairs.items():
        add_alias(tmp_path, *alias)

    with pytest.raises(UsageError, match="one meaning"):
        add_alias(tmp_path, *added)

    assert pairs == read_aliases(tmp_path).pairs


def test_answers_are_never_hidden_by_an_alias(cassette: Path) -> None:
    """An alias for an address with answers of its own would make them unfindable."""
    with pytest.raises(UsageError, match="would not be found"):
        add_alias(cassette, OLD, NEW)

    assert {} == read_aliases(cassette).pairs


def test_a_mistyped_recorded_address_is_named_with_those_that_are_there(cassette: Path) -> None:
    """Only in a cassette that has answers: an empty one may be given its aliases first."""
    with pytest.raises(UsageError, match="no answer of this cassette") as raised:
        add_alias(cassette, NEW, "http://127.0.0.1:8080/v1")

    assert f"{OLD}/chat/completions" == raised.value.details["recorded"]


@pytest.mark.parametrize(
    "text",
    [
        "gpu7.example/v1",
        "ftp://a/v1",
        "https://",
        "https://u@a/v1",
        "https://a/v1?b=1",
        "https://a/v1#b",
        "https://a /v1",
    ],
)
def test_a_base_url_is_checked(text: str) -> None:
    """User, query and fragment are no part of a base URL."""
    with pytest.raises(UsageError, match="no base URL"):
        base_url_of(text)


def test_a_base_url_has_one_spelling() -> None:
    """Two lines of a file never mean the same address."""
    assert {"https://a.example/v1"} == {
        base_url_of(f"{host}/v1{end}") for host in ("HTTPS://A.example", "https://a.example:443") for end in ("", "/")
    }
    assert "http://[::1]:8000" == base_url_of("http://[::1]:8000/")


def test_an_alias_is_not_added_while_a_run_writes(cassette: Path) -> None:
    """The run has read the aliases, and would go on without it."""
    with Store(cassette, record_mode="new_episodes"), pytest.raises(CassetteLocked):
        add_alias(cassette, NEW, OLD)


def test_aliases_that_cannot_be_written_stay_as_they_were(cassette: Path) -> None:
    """A folder stands where the file is first written to."""
    (cassette / f".{ALIASES_FILE}.unfinished").mkdir()

    with pytest.raises(DiskError):
        add_alias(cassette, NEW, OLD)

    assert {} == read_aliases(cassette).pairs
    assert not (cassette / ".lock").exists()


# the file --------------------------------------------------------------------------------------------------


def test_every_changed_byte_of_the_file_is_found(cassette: Path) -> None:
    """Also one that leaves the line readable: the checksum covers it."""
    add_alias(cassette, NEW, OLD)
    path = cassette / ALIASES_FILE
    sound = path.read_bytes()
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])

        with pytest.raises(CassetteDamaged, match="aliases of this cassette cannot be read"):
            Store(cassette).open()
        assert [problem for problem in Store(cassette).verify() if problem.startswith(ALIASES_FILE)]


@pytest.mark.parametrize("text", [b"- {}", b"[]\n", b"\xff\n", b"- [] # crc32=fea0fb88\n", b"x" * (2 << 20)])
def test_a_hostile_file_is_an_error_of_ours(text: bytes, cassette: Path) -> None:
    """Cut, of another kind, or endless."""
    (cassette / ALIASES_FILE).write_bytes(text)

    with pytest.raises(CassetteDamaged):
        read_aliases(cassette)


def test_a_link_out_of_the_folder_is_refused(cassette: Path, tmp_path: Path) -> None:
    """A cassette from a stranger reads nothing beside itself."""
    (tmp_path / "elsewhere").write_bytes(Aliases({NEW: OLD}).payload())
    (cassette / ALIASES_FILE).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CassetteDamaged, match="leads out"):
        read_aliases(cassette)


def test_verify_names_an_answer_that_an_alias_hides(cassette: Path) -> None:
    """No command makes one; a file put together by hand may."""
    (cassette / ALIASES_FILE).write_bytes(Aliases({OLD: NEW}).payload())
    [problem] = Store(cassette).verify()

    assert "segment-00001.yaml: this answer is never found" in problem


# merging and the command -----------------------------------------------------------------------------------


def test_merged_aliases_are_those_of_all_in_one_order(cassette: Path, tmp_path: Path) -> None:
    """The same bytes whatever the order; contradictions and hidden answers are refused."""
    other = tmp_path / "other"
    record(other, "http://c.example/v1/a")
    add_alias(cassette, NEW, OLD)
    add_alias(other, "http://d.example", "http://c.example/v1")
    pairs = {NEW: OLD, "http://d.example": "http://c.example/v1"}

    assert Aliases(pairs).payload() == merge_aliases([cassette, other]) == merge_aliases([other, cassette])
    assert b"" == merge_aliases([tmp_path])

    record(other, f"{NEW}/b")
    with pytest.raises(UsageError, match="would not be found"):
        merge_aliases([cassette, other])
    with pytest.raises(UsageError, match="one meaning"):
        united([Aliases({NEW: OLD}), Aliases({NEW: "http://c.example"})])


def test_the_command_adds_lists_and_removes(cassette: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it prints is all there is afterwards."""
    added = main(["cassette", "alias", str(cassette), "--base-url", f"{NEW}/", "--recorded-as", OLD])
    listed = main(["cassette", "alias", str(cassette)])
    removed = main(["cassette", "alias", str(cassette), "--base-url", NEW, "--remove"])
    half = main(["cassette", "alias", str(cassette), "--base-url", NEW])
    unknown = main(["cassette", "alias", str(cassette), "--base-url", NEW, "--remove"])

    assert (0, 0, 0, 4, 4) == (added, listed, removed, half, unknown)
    assert f"{NEW} is recorded as {OLD}\n" * 2 + "no aliases\n" == capsys.readouterr().out
