"""A deterministic OpenAI-compatible server with scripted faults, run as a process of its own.

`python -m tests.support.fault_server --port 0` prints its port as the first line. The answer is a function of the
canonical body alone (and, at a temperature above 0, of how often that body was answered before), so a run with
faults must end with the rows of a run without. The truth is counted here, so it outlives a killed client: GET /_truth.

A user message scripts its own faults, in the order written; then the answer comes:

    [[500 x2]]  any status, on the first two attempts; without xN on every one (429: on the first only)
    [[429 retry-after=0]]  name=value before the count are response headers (now+5 and now-5 are HTTP dates);
                           code=... is the error's code
    quota, moderation, context      429, 403 and 400 with the wording of a service
    html, plain, words, nothttp     a web page, a 200 and a 400 of plain text, bytes that are no HTTP
    broken, cut, rst, excess        half a JSON body, half the bytes, a reset, more bytes than were promised
    hang, bomb                      silence, a body that unpacks to more than anybody should read
    error, empty, nan               an error object inside a 200 (code=502), no choices, NaN in the JSON
    refusal, length, null, tools, filter, reasoning    answers that are results
    garbage, prose, fenced          content of the wrong shape, without JSON, with JSON inside a fence
    drip, blanks, bom, twice, nousage    good answers in odd clothes: slowly, after blank lines, with a byte order
                                    mark, with a key twice, without usage and from another model
    [[with name=value]]             headers of the good answer
    [[delay=0.2]]                   seconds, on every attempt
    [[label=c07]]                   calls and answers with this label are counted apart

`--chaos SHARE` has faults of its own: which attempt of which body meets which is a function of the seed.
"""

from __future__ import annotations

from tests.support.fault_server.process import FaultServer
from tests.support.fault_server.script import Fault, fault_at, faults_in

__all__ = ["Fault", "FaultServer", "fault_at", "faults_in"]
