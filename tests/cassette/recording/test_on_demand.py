"""The recorder comes before the first HTTP library, however that is imported. Each case is a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmbatch.cassette.recording.on_demand import is_watched
from tests.support.origin import Origin, origin

BEGIN = """
import sys
from contextlib import contextmanager
from pathlib import Path
from llmbatch.cassette.recording.guard import unrecorded_refused
from llmbatch.cassette.recording.on_demand import recording_on_demand
from llmbatch.cassette.store import Store
URL, FOLDER = sys.argv[1:]

@contextmanager
def run():
    with Store(Path(FOLDER), record_mode="new_episodes") as store:
        with recording_on_demand(store, on_warning=lambda text: None) as demand, unrecorded_refused([]):
            yield demand
        print(len(store))

def libraries():
    return [name for name in ("http.client", "vcr", "urllib3", "requests", "aiohttp", "httpx2") if name in sys.modules]
"""

IMPORTED = {
    "a library in a run": "with run():\n    import requests\n    requests.post(URL)",
    "a library before": "import requests\nwith run():\n    requests.post(URL)",
    "the recorder's library before": "import vcr\nwith run():\n    import requests\n    requests.post(URL)",
    "a standard module": "with run():\n    import urllib.request\n    urllib.request.urlopen(URL).close()",
    "a name from a package": """
        with run():
            from http import client
            from urllib.parse import urlsplit
            connection = client.HTTPConnection(urlsplit(URL).netloc)
            connection.request("POST", "/", b"q")
            connection.getresponse().read()
    """,
    "a name bound before": """
        from http.client import HTTPConnection
        from urllib.parse import urlsplit
        with run():
            connection = HTTPConnection(urlsplit(URL).netloc)
            connection.request("POST", "/", b"q")
            connection.getresponse().read()
    """,
    "by importlib": "with run():\n    import importlib\n    importlib.import_module('urllib3').request('POST', URL)",
    "an SDK that imports one": """
        with run():
            import openai
            openai.OpenAI(api_key="none", base_url=URL).models.with_raw_response.list()
    """,
    "in a thread": """
        import threading
        def ask():
            import httpx2
            httpx2.post(URL)
        with run():
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
    """,
}


@pytest.fixture
def server() -> Iterator[Origin]:
    with origin() as server:
        yield server


def _run(code: str, server: Origin, tmp_path: Path) -> list[str]:
    """Run code after BEGIN in a fresh interpreter; return the lines it printed."""
    command = [sys.executable, "-c", BEGIN + textwrap.dedent(code), server.url + "/v1", str(tmp_path / "tape")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


@pytest.mark.parametrize("how", IMPORTED)
def test_a_library_is_recorded_however_it_is_imported(how: str, server: Origin, tmp_path: Path) -> None:
    """Were it not, the guard would refuse it, and the process end by that."""
    printed = _run(IMPORTED[how], server, tmp_path)

    assert printed == ["1"]
    assert len(server.bodies) == 1


def test_nothing_is_imported_for_a_run_that_sends_nothing(server: Origin, tmp_path: Path) -> None:
    """vcrpy and the libraries it patches are most of what a short replay would cost; import is itself again after."""
    printed = _run(
        """
        import builtins, importlib
        before = (builtins.__import__, importlib.import_module)
        with run() as demand:
            import json, email.message, polars
            assert not demand.entered
        assert libraries() == [], libraries()
        assert before == (builtins.__import__, importlib.import_module)
        """,
        server,
        tmp_path,
    )

    assert printed == ["0"]


def test_after_the_end_all_is_as_before(server: Origin, tmp_path: Path) -> None:
    """The hooks go when the recorder comes, and the patches when the run ends; then another run may start."""
    printed = _run(
        """
        import builtins, importlib
        before = (builtins.__import__, importlib.import_module)
        for number in range(2):
            with run():
                import requests
                assert before == (builtins.__import__, importlib.import_module)
                requests.post(URL, data=b"%d" % number)
        import http.client, urllib3
        assert type(http.client.HTTPConnection("h")) is http.client.HTTPConnection
        assert "X-Internal" in requests.post(URL).headers
        assert "VCR" not in urllib3.HTTPConnectionPool.ConnectionCls.__name__
        """,
        server,
        tmp_path,
    )

    assert printed == ["1", "2"]
    assert len(server.bodies) == 3


def test_threads_that_import_different_libraries_at_once_do_not_wait_for_each_other(
    server: Origin, tmp_path: Path
) -> None:
    """Entering imports them all, and holds no lock that an importing thread has."""
    printed = _run(
        """
        import threading
        together = threading.Barrier(4)
        def ask(library):
            together.wait()
            if library == "urllib.request":
                import urllib.request
                urllib.request.urlopen(URL, library.encode()).close()
            elif library == "requests":
                import requests
                requests.post(URL, data=library)
            elif library == "urllib3":
                import urllib3
                urllib3.request("POST", URL, body=library)
            else:
                import httpx2
                httpx2.post(URL, content=library)
        with run():
            names = ["urllib.request", "requests", "urllib3", "httpx2"]
            threads = [threading.Thread(target=ask, args=[name]) for name in names]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        """,
        server,
        tmp_path,
    )

    assert printed == ["4"]
    assert len(server.bodies) == 4


def test_a_second_run_is_refused_before_the_recorder_is_entered(server: Origin, tmp_path: Path) -> None:
    """The place is taken from the start, not from the first request."""
    printed = _run(
        """
        from llmbatch.errors import UsageError
        with run() as demand:
            try:
                with recording_on_demand(None, on_warning=print):
                    pass
            except UsageError:
                print(demand.entered)
        """,
        server,
        tmp_path,
    )

    assert printed == ["False", "0"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [("requests", ()), ("urllib3.util", ()), ("http.client", ("HTTPConnection",)), ("http", ("client",))],
)
def test_an_import_of_a_client_is_watched(name: str, parts: tuple[str, ...]) -> None:
    """Whichever way it is written."""
    assert is_watched(name, parts)


@pytest.mark.parametrize(("name", "parts"), [("http", ("HTTPStatus",)), ("urllib", ("parse",)), ("json", ())])
def test_an_import_of_something_else_is_not(name: str, parts: tuple[str, ...]) -> None:
    """Half the standard library imports `http` and `urllib.parse`."""
    assert not is_watched(name, parts)
