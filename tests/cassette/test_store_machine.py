"""Any order of recording, closing, dying, damage and new generations, held against a dictionary.

`LLMBATCH_TEST_EXAMPLES=1000 pytest tests/cassette/test_store_machine.py` tries longer.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import settings, target
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Call, Reply
from llmbatch.cassette.store import Mode, Store
from llmbatch.errors import CassetteDamaged

EXAMPLES = int(os.environ.get("LLMBATCH_TEST_EXAMPLES", "30"))
KEYS = 6
BODIES = st.sampled_from([b"", b"short", "ünï\u2028".encode(), b"\xff\x00binary", b"x" * 700])


class CassetteMachine(RuleBasedStateMachine):
    """One folder, one store at a time. `answers` has what complete generations say, `begun` the one under way."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.answers: dict[int, bytes] = {}
        self.begun: dict[int, bytes] = {}
        self.failures: dict[int, tuple[int, str]] = {}  # each with which failure of all it is
        self.begun_failures: dict[int, tuple[int, str]] = {}
        self.failed = 0
        self.generation = 0
        self.store: Store | None = None
        self._open("new_episodes")

    def teardown(self) -> None:
        if self.store is not None:
            self.store.close()
        target(float(len(self.answers)))
        shutil.rmtree(self.folder)

    def _open(self, mode: Mode) -> None:
        self.store = Store(self.folder, record_mode=mode, segment_bytes=1500).open()

    def _opened(self) -> Store:
        assert self.store is not None
        return self.store

    def _call(self, number: int) -> Call:
        store = self._opened()
        return store.call(store.request("POST", "https://h/v1", {}, b"%d" % number), 0, 0)

    @property
    def _is_new(self) -> bool:
        return self._opened().record_mode == "all"

    @rule(number=st.integers(0, KEYS - 1), body=BODIES)
    def record(self, number: int, body: bytes) -> None:
        """The first answer of a generation wins, and a later one is kept among the failures."""
        there = self.begun if self._is_new else self.answers
        stored = self._opened().record(self._call(number), Reply(200, "OK", {}, body))
        if number in there:
            self._note_failure(number, "duplicate")
        assert stored.body == there.setdefault(number, body)

    @rule(number=st.integers(0, KEYS - 1), said=st.text(max_size=5))
    def record_failure(self, number: int, said: str) -> None:
        """The last one counts."""
        self._opened().record_failure(self._call(number), FailureKind.TIMEOUT, said)
        self._note_failure(number, said)

    def _note_failure(self, number: int, said: str) -> None:
        self.failed += 1
        (self.begun_failures if self._is_new else self.failures)[number] = (self.failed, said)

    @rule(mode=st.sampled_from(["new_episodes", "all"]))
    def close_and_open(self, mode: Mode) -> None:
        """Nothing is lost; a generation that was begun is gone on with."""
        self._opened().close()
        self._open(mode)

    @rule(mode=st.sampled_from(["new_episodes", "all"]), kind=st.sampled_from(["segment", "failures"]), data=st.data())
    def die_in_the_middle_of_a_line(self, mode: Mode, kind: str, data: st.DataObject) -> None:
        """A killed process leaves its lock and half a line: never more than the line it was writing."""
        self._opened().close()
        files = sorted(self.folder.glob(f"{kind}-*.yaml"))
        if files:
            lines = files[-1].read_bytes().splitlines(keepends=True)
            half = lines[-1][: data.draw(st.integers(1, len(lines[-1]) - 1))] if lines else b"vers"
            with files[-1].open("ab") as stream:
                stream.write(half)
        self._open(mode)

    @precondition(lambda self: self._is_new and self.begun)
    @rule()
    def complete_the_generation(self) -> None:
        """From then on its answers win, and keys that it has not keep the older ones; of failures the last counts."""
        self._opened().complete_generation()
        self._opened().close()
        self.answers |= self.begun
        for number, failure in self.begun_failures.items():
            self.failures[number] = max(failure, self.failures.get(number, failure))  # the last one, of both
        self.begun, self.begun_failures = {}, {}
        self.generation += 1
        self._open("new_episodes")

    @rule(data=st.data())
    def flip_a_bit_and_back(self, data: st.DataObject) -> None:
        """Damage is found wherever it is, and never served: what a look-up gives is what was recorded."""
        self._opened().close()
        files = [path for path in sorted(self.folder.glob("*.yaml")) if path.stat().st_size]
        if files:
            path = data.draw(st.sampled_from(files))
            sound = path.read_bytes()
            changed = bytearray(sound)
            changed[data.draw(st.integers(0, len(sound) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(changed)
            assert Store(self.folder).verify()
            with suppress(CassetteDamaged), Store(self.folder) as store:
                self.store = store
                for number, body in self.answers.items():
                    with suppress(CassetteDamaged):
                        found = store.find(self._call(number).key)
                        assert found is None or found.body in {body, *self._older(number)}
            path.write_bytes(sound)
        self._open("new_episodes")

    def _older(self, number: int) -> set[bytes]:
        """Return every body ever recorded for a key: damage to a generation's number may bring an older one back."""
        with Store(self.folder) as store:
            found = store.find(self._call(number).key)
        return {self.begun.get(number, b""), b"" if found is None else found.body}

    @invariant()
    def what_is_found_is_what_was_recorded(self) -> None:
        """In the store that is open; and there is nothing else."""
        store = self._opened()
        expected = self.begun if self._is_new else self.answers
        failures = self.begun_failures if self._is_new else self.failures
        for number in range(KEYS):
            reply, failed = store.find(self._call(number).key), store.find_failure(self._call(number).key)
            assert expected.get(number) == (None if reply is None else reply.body)
            said = None if failed is None else "duplicate" if failed.kind == "duplicate" else failed.message
            assert failures.get(number, (0, None))[1] == said
        assert len(store) == len(expected)

    @invariant()
    def the_files_are_sound(self) -> None:
        """At every moment, also while they are written."""
        assert self._opened().verify() == []


TestCassetteMachine = CassetteMachine.TestCase
TestCassetteMachine.settings = settings(max_examples=EXAMPLES, stateful_step_count=25, deadline=None)
