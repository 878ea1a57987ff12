"""What is equal JSON shares a key, and what is not does not: for any body, address and draw."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from llmbatch.call.key import call_key, canonical_body, request_digest

MULTIPART = "multipart/form-data; boundary="
texts = st.text(st.characters(codec="utf-8"), max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=10
)
objects = st.dictionaries(texts, values, max_size=4)
# as RFC 8259 spells numbers, few enough digits for the fast reader
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


def canonical(text: str | bytes) -> bytes:
    return canonical_body(text if isinstance(text, bytes) else text.encode(), "application/json")


def spelled(value: Any) -> bytes:
    """Return a text that tells apart all that JSON tells apart: order, integers from floats, -0.0 from 0.0."""
    return repr(sorted(value.items()) if isinstance(value, dict) else value).encode()


# JSON -----------------------------------------------------------------------------------------------------


@given(objects, objects)
@example({"a": 1}, {"a": 1.0})
@example({"a": 1}, {"a": True})
@example({"a": 1}, {"a": "1"})
@example({"a": 0.0}, {"a": -0.0})
@example({"a": None}, {})
@example({"a": []}, {"a": {}})
@example({"a": [1, 2]}, {"a": [2, 1]})
@example({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}})
@example({"a": 2**64}, {"a": 2**64 + 1})
@example({"a": 2**64}, {"a": float(2**64)})
def test_bodies_share_a_canonical_form_only_if_they_are_the_same(one: Any, two: Any) -> None:
    """Same members, in any order; below them the same values in the same order, of the same kind."""
    assert (spelled(one) == spelled(two)) == (canonical(json.dumps(one)) == canonical(json.dumps(two)))


@given(objects)
def test_escapes_are_a_spelling(value: dict[str, Any]) -> None:
    r"""`\u00e9` and `é` are one character, in members' names too."""
    assert canonical(json.dumps(value)) == canonical(json.dumps(value, ensure_ascii=False))


@given(objects)
def test_a_canonical_body_is_its_own_canonical_form(value: dict[str, Any]) -> None:
    """What was recorded may be keyed again from the canonical form."""
    once = canonical(json.dumps(value))

    assert once == canonical(once)


@given(numbers)
@example("-0")
@example("1E400")
@example("1e-400")
@example("0.30000000000000004")
@example("9007199254740993")
@example("9007199254740993.0")
def test_both_readers_agree_on_every_number(text: str) -> None:
    """A run of 19 digits anywhere in a body brings in the exact reader: numbers must not move with it."""
    plain = b'{"x":%b}' % text.encode()
    beside = b'{"digits":"%b","x":%b}' % (b"1" * 19, text.encode())
    fast, exact = canonical(plain), canonical(beside)

    assert (fast == plain and exact == beside) or fast[5:] == exact[len(b'{"digits":"') + 19 + len(b'","x":') :]


@given(st.integers(min_value=-(10**60), max_value=10**60), st.integers(min_value=-(10**60), max_value=10**60))
def test_two_integers_never_share_a_form(one: int, two: int) -> None:
    """At the top, deep inside, and beside floats, whatever their size."""
    forms = {canonical(f'{{"a":{{"b":[0.5,{number}]}}}}') for number in (one, two)}

    assert len({one, two}) == len(forms)


def test_an_integer_of_thousands_of_digits_is_exact() -> None:
    """Python refuses to turn more than 4,300 digits into a number; as text they still tell two bodies apart."""
    nines = "9" * 5000

    assert f'{{"a":{nines}}}'.encode() == canonical(f'{{ "a": {nines} }}')
    assert canonical(f'{{"a":{nines}}}') != canonical(f'{{"a":{nines[:-1]}8}}')


@pytest.mark.parametrize("digits", ["", f',"digits":"{"1" * 19}"'])
def test_of_members_with_one_name_the_last_counts(digits: str) -> None:
    """As every JSON reader has it, services among them; with either reader, and deep inside."""
    twice = f'{{"a":1,"b":{{"c":1,"d":0,"c":2}},"a":2{digits}}}'
    once = f'{{"a":2,"b":{{"c":2,"d":0}}{digits}}}'

    assert canonical(twice) == canonical(once)


@given(objects, st.sampled_from([b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\x0b", b"\xc2\xa0"]))
def test_what_is_no_white_space_of_json_makes_other_bytes(value: dict[str, Any], prefix: bytes) -> None:
    """A BOM, or white space that JSON does not know: some services refuse it, so it is another request."""
    body = json.dumps(value).encode()

    assert prefix + body == canonical(prefix + body) != canonical(body)


@given(st.binary(max_size=40))
def test_binary_bodies_are_their_own_bytes(body: bytes) -> None:
    """Unless they happen to be JSON."""
    assume(body.lstrip(b" \t\r\n")[:1] not in (b"{", b"["))

    assert body == canonical_body(body, "application/octet-stream")


@given(st.binary(max_size=20))
def test_nothing_is_changed_that_is_not_utf8(rest: bytes) -> None:
    """Bytes that begin like JSON and are none."""
    assert b'{"a":"\xff' + rest == canonical(b'{"a":"\xff' + rest)


def test_no_body_is_the_empty_one_and_not_an_empty_object() -> None:
    """On the wire the first two are the same."""
    bodies = [b"{}", b"[]", b" ", b"null", b'""', b"0"]

    assert b"" == canonical_body(None, None) == canonical_body(b"", "application/json")
    assert 1 + len(bodies) == len({b"", *map(canonical, bodies)})


# multipart ------------------------------------------------------------------------------------------------


def multipart(boundary: str, parts: list[bytes]) -> bytes:
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


boundaries = st.text("abcXYZ019'()+_,-./:=?", min_size=1, max_size=30)
parts = st.lists(st.binary(max_size=20), max_size=4)


def keyed(boundary: str, content: list[bytes]) -> bytes:
    return canonical_body(multipart(boundary, content), f'{MULTIPART}"{boundary}"')


@given(boundaries, boundaries, parts)
def test_any_boundary_gives_the_same_form(one: str, two: str, content: list[bytes]) -> None:
    """As long as neither occurs inside of a part, which no client lets happen."""
    assume(not any(boundary.encode() in b"\n".join(content) for boundary in (one, two)))

    assert keyed(one, content) == keyed(two, content)


@given(boundaries, parts, parts)
def test_other_parts_give_another_form(boundary: str, one: list[bytes], two: list[bytes]) -> None:
    """Content, number and order of the parts."""
    assume(not any(boundary.encode() in b"\n".join(content) for content in (one, two)))

    assert (one == two) == (keyed(boundary, one) == keyed(boundary, two))


@pytest.mark.parametrize("kind", ["Multipart/Form-Data; Boundary=abc", 'multipart/mixed; charset=x; boundary="a\\bc"'])
def test_a_boundary_is_found_however_it_is_written(kind: str) -> None:
    """Any letter case, quoted or not, with escapes."""
    assert keyed("abc", [b"x"]) == canonical_body(multipart("abc", [b"x"]), kind)


def test_a_multipart_body_without_a_known_boundary_is_its_own_bytes() -> None:
    """Nothing is guessed."""
    body = multipart("abc", [b"x"])

    assert body == canonical_body(body, "multipart/form-data")


# addresses and draws --------------------------------------------------------------------------------------


addresses = st.tuples(
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a", "a.b", "[::1]", "1.2.3.4", "aa"]),
    st.sampled_from([80, 443, 8000, 800]),
    st.text("ab/%2F;", max_size=4).map(lambda text: f"/{text}"),
    st.sampled_from(["", "?", "?a=1", "?a=1&b=2", "?b=2&a=1", "?a=%31"]),
    st.dictionaries(st.sampled_from(["a", "b", "ab"]), st.lists(st.text("ab1:", max_size=3)).map(tuple), max_size=2),
)


@given(addresses, addresses)
def test_two_addresses_never_share_a_digest(one: Any, two: Any) -> None:
    """Nor two sets of headers: every field is coded with its length."""

    def digest(of: Any) -> bytes:
        method, scheme, host, port, path, query, headers = of
        return request_digest(method, f"{scheme}://{host}:{port}{path}{query}", b"", headers)

    assert (one == two) == (digest(one) == digest(two))


@given(*[st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 200), st.integers(0, 200))] * 2)
def test_two_draws_never_share_a_key(one: tuple[bytes, int, int], two: tuple[bytes, int, int]) -> None:
    """Digest, repeat and ordinal are apart, whatever bytes the digest has."""
    assert (one == two) == (call_key(*one) == call_key(*two))


def test_the_order_of_a_schemas_properties_moves_the_key() -> None:
    """It steers what is generated: reasoning before the label, or after it."""
    schema = {"why": {"type": "string"}, "label": {"enum": ["a", "b"]}}
    turned = dict(reversed(schema.items()))

    def body(properties: Any, labels: list[str]) -> bytes:
        schema = {"type": "object", "properties": {**properties, "label": {"enum": labels}}}
        return canonical(orjson.dumps({"response_format": {"json_schema": {"schema": schema}}}))

    assert 3 == len({body(schema, ["a", "b"]), body(turned, ["a", "b"]), body(schema, ["b", "a"])})
