"""The expressions of -k and -m mean what they mean in pytest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.errors import UsageError
from llmbatch.plan.expression import parse_expression

NAMES = ("a", "b", "c")

written = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: st.one_of(
        inner.map(lambda text: f"not {text}"),
        inner.map(lambda text: f"({text})"),
        st.tuples(inner, inner).map(" and ".join),
        st.tuples(inner, inner).map(" or ".join),
    ),
    max_leaves=12,
)


@given(written, st.sets(st.sampled_from(NAMES)))
def test_expressions_mean_what_they_mean_in_python(text: str, true: set[str]) -> None:
    """The same words with the same strengths, so Python itself is the oracle."""
    expected = bool(eval(text, {name: name in true for name in NAMES}))

    assert expected == parse_expression(text, flag="-k").matches(true.__contains__)


def test_names_may_hold_what_ids_hold() -> None:
    """Dots, dashes, brackets and plus signs."""
    expression = parse_expression("gpt-4o.1 and grid[qwen", flag="-k")

    assert expression.names == ("gpt-4o.1", "grid[qwen")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a name is missing, at column 1"),
        ("a and", "a name is missing, at column 6"),
        ("a b", "'b' is one too many, at column 3"),
        ("(a or b", "a `)` is missing, at column 8"),
        ("a or or b", "a name is missing before 'or', at column 6"),
        ("a)", "')' is one too many, at column 2"),
    ],
)
def test_what_is_no_expression_names_the_column(text: str, said: str) -> None:
    """With the flag it was given to."""
    with pytest.raises(UsageError) as caught:
        parse_expression(text, flag="-m")

    assert str(caught.value).startswith("-m ")
    assert said in caught.value.what
