"""CPU microseconds and memory an interaction, of cassettes of growing size, beside stock vcrpy and a plain dict.

    python benchmarks/cassette.py [--folder FOLDER] [SIZE ...]

SIZEs are numbers of interactions, 1000 10000 100000 by default; 1000000 takes 3.3 GB of FOLDER (a temporary one by
default, removed afterwards) and some minutes. Needs the `test` extra. Each measure is made in a process of its own,
so that its memory is its own; times are CPU times (user and system), what can be compared on a shared machine.

    open    reading the index: once, shared out over all interactions, less what a cassette of one takes;
            the best of three, and so are the look-ups
    find    looking an answer up, checksum and all, in the order of recording; `any` in no order
    record  writing an answer of 1.6 KB to a prompt of 1 KB, until it can be found
    digest  the content digest: each answer once, sorted by key
    RSS     the most memory the process had at any time, of opening and finding; `more` is what the cassette added,
            in bytes an interaction; of the digest in a column of its own

vcrpy's records include saving the file, which it does once at the end. The dict holds the answers' bytes; opening it
reads the files that llmbatch wrote.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from vcr.cassette import Cassette
from vcr.matchers import body, method, uri
from vcr.request import Request as VcrRequest

from llmbatch.call.values import Call, Reply
from llmbatch.cassette.line import decode_reply, frame
from llmbatch.cassette.segment import open_for_reading
from llmbatch.cassette.store import Store

URL = "https://api.example.com/v1/chat/completions"
PROMPT = "a commit message of a certain length that says what was changed, where, and why " * 10
REASON = "it adds what was not there before, and says so in the first line of the message; " * 16
VCRPY_SIZES = (100, 300, 600)
MOST_LOOKUPS = 100_000
STRIDE = 7919
AT_ONCE = 1000
MB = 1e6

Measured = dict[str, float]


def body_of(number: int) -> bytes:
    """Return a request's body of a kilobyte."""
    messages = [{"role": "user", "content": f"{number} {PROMPT}"}]
    value = {"model": "model-a", "messages": messages, "temperature": 0.0, "top_p": 0.001, "max_tokens": 500}
    return json.dumps(value, separators=(",", ":")).encode()


def reply_of(number: int) -> Reply:
    """Return an answer of 1.6 kilobytes."""
    content = json.dumps({"reasoning_steps": [REASON], "category": "corrective", "number": number})
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 212, "completion_tokens": 301, "total_tokens": 513}
    value = {"id": f"chatcmpl-{number}", "model": "model-a", "choices": [choice], "usage": usage}
    headers = {"content-type": ("application/json",), "x-request-id": (f"req_{number}",)}
    return Reply(200, "OK", headers, json.dumps(value).encode(), "2026-01-02T03:04:05.678901Z", 412_345)


def call_of(store: Store, number: int) -> Call:
    """Return the call of a prompt."""
    request = store.request("POST", URL, {"content-type": "application/json"}, body_of(number))
    return store.call(request, 0, 0)


def in_no_order(count: int) -> Iterator[int]:
    """Yield numbers from all over a cassette."""
    return (number * STRIDE % count for number in range(min(count, MOST_LOOKUPS)))


def record(folder: Path, count: int) -> Measured:
    """Record a new cassette of llmbatch."""
    seconds = 0.0
    with Store(folder / "one", record_mode="new_episodes") as store:
        store.record(call_of(store, 0), reply_of(0))
    with Store(folder, record_mode="new_episodes", secrets=["sk-" + "not a key" * 4]) as store:
        made = ((call_of(store, number), reply_of(number)) for number in range(count))
        while some := list(islice(made, AT_ONCE)):
            start = process_time()
            for number, (call, reply) in enumerate(some):
                store.record(call, reply, case=f"study[model-a]::{number}")
            seconds += process_time() - start
        return {"record": seconds / count, "rss": most_memory()}


def open_and_find(folder: Path, count: int) -> Measured:
    """Open a cassette of llmbatch and look answers up."""
    constant = min(seconds_of_opening(folder / "one") for _ in range(20))
    memory = most_memory()
    opening = min(seconds_of_opening(folder) for _ in range(3)) - constant
    more = most_memory() - memory
    with Store(folder) as store:
        keys = [call_of(store, number).key for number in range(min(count, MOST_LOOKUPS))]
        in_order = min(seconds_of(store.find, keys) for _ in range(3))
        some = [call_of(store, number).key for number in in_no_order(count)]
        any_order = min(seconds_of(store.find, some) for _ in range(3))
    return {
        "open": opening / count,
        "find": in_order / len(keys),
        "any": any_order / len(some),
        "more": more / count,
        "rss": most_memory(),
    }


def digest(folder: Path, count: int) -> Measured:
    """Compute the content digest of a cassette of llmbatch."""
    with Store(folder) as store:
        start = process_time()
        store.content_digest()
        return {"digest": (process_time() - start) / count, "digest rss": most_memory()}


def plain_dict(folder: Path, count: int) -> Measured:
    """Hold the answers' bytes in a dict: the floor of every time, and the ceiling of memory."""
    memory = most_memory()
    held: dict[bytes, bytes] = {}
    seconds = 0.0
    for path in sorted(folder.glob("segment-*.yaml")):
        with open_for_reading(path) as stream:
            for line in islice(stream, 3, None):
                key, answer = frame(line).key, decode_reply(line).body
                start = process_time()
                held[key] = answer
                seconds += process_time() - start
    keys = list(held)
    some = [keys[number] for number in in_no_order(count)]
    found = {"find": seconds_of(held.get, keys) / count, "any": seconds_of(held.get, some) / len(some)}
    return {"record": seconds / count, **found, "more": (most_memory() - memory) / count, "rss": most_memory()}


def stock_vcrpy(folder: Path, count: int) -> Measured:
    """Record with vcrpy, save, load, and play every response."""
    requests = [
        VcrRequest("POST", URL, body_of(number), {"content-type": "application/json"}) for number in range(count)
    ]
    replies = [reply_of(number) for number in range(count)]
    memory = most_memory()
    path = str(folder / "cassette.yaml")
    start = process_time()
    recorded = Cassette(path, match_on=(method, uri, body), record_mode="all")
    for request, reply in zip(requests, replies, strict=True):
        headers = {name: list(values) for name, values in reply.headers.items()}
        status = {"code": reply.status, "message": reply.reason}
        recorded.append(request, {"status": status, "headers": headers, "body": {"string": reply.body}})
    recorded._save(force=True)  # noqa: SLF001  # what leaving the context does
    recording = process_time() - start
    start = process_time()
    loaded = Cassette.load(path=path, match_on=(method, uri, body), record_mode="none")
    opening = process_time() - start
    finding = seconds_of(loaded.play_response, requests)
    figures = {"open": opening / count, "find": finding / count, "record": recording / count}
    return {**figures, "more": (most_memory() - memory) / count, "rss": most_memory()}


def seconds_of_opening(folder: Path) -> float:
    """Return the CPU seconds of opening a cassette of llmbatch."""
    start = process_time()
    store = Store(folder).open()
    seconds = process_time() - start
    store.close()
    return seconds


def seconds_of(find: Callable[[Any], object], keys: list[Any]) -> float:
    """Return the CPU seconds of looking all keys up. Raises RuntimeError for one that is not found."""
    missing = 0
    start = process_time()
    for key in keys:
        missing += find(key) is None
    seconds = process_time() - start
    if missing:
        raise RuntimeError(f"{missing} of {len(keys)} answers were not found")
    return seconds


def most_memory() -> float:
    """Return the most bytes this process has had in memory so far; nan where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return float("nan")
    return 1024.0 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


MEASURES = {measure.__name__: measure for measure in (record, open_and_find, digest, plain_dict, stock_vcrpy)}


def measured(measure: Callable[[Path, int], Measured], folder: Path, count: int) -> Measured:
    """Return the figures of one measure, made in a process of its own."""
    command = [sys.executable, __file__, "--measure", measure.__name__, "--folder", str(folder), str(count)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603  # this very file
    figures: Measured = json.loads(finished.stdout)
    return figures


def show(name: str, count: int, figures: Measured) -> None:
    """Print one line of the table."""
    times = [f"{figures[part] * 1e6:>8.1f}" if part in figures else f"{'-':>8}" for part in COLUMNS]
    sizes = [f"{figures['rss'] / MB:>8.0f}", f"{figures['more']:>8.0f}"]
    last = f"{figures['digest rss'] / MB:>8.0f}" if "digest rss" in figures else f"{'-':>8}"
    print(f"{name:<9}{count:>10,}", *times, *sizes, last, sep="  ", flush=True)


COLUMNS = ("open", "find", "any", "record", "digest")


def main() -> None:
    """Measure each size named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", metavar="SIZE", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where the cassettes are made")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure](options.folder, options.sizes[0])))
        return
    head = [f"{name:>8}" for name in (*COLUMNS, "RSS MB", "more B", "digest MB")]
    print(f"{'CPU us':<9}{'N':>10}", *head, sep="  ")
    for size in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            recorded = measured(record, folder, size)
            figures = {**recorded, **measured(open_and_find, folder, size), **measured(digest, folder, size)}
            show("llmbatch", size, figures)
            show("dict", size, measured(plain_dict, folder, size))
    for size in VCRPY_SIZES:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            show("vcrpy", size, measured(stock_vcrpy, Path(name), size))


if __name__ == "__main__":
    main()
