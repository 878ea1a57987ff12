"""Every class of failure has a served fault, its outcome is as declared, and the page says just that."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from llmbatch.call.failure import FailureKind
from llmbatch.errors import ExitCode
from tests.chaos.classes import FAILURES, SERVED
from tests.chaos.failure_table import PAGE, page
from tests.chaos.measuring import Measured, measure_alone, measure_together

TOGETHER = [each for each in SERVED if not each.alone]
NEVER_SERVED = {
    *(FailureKind.SAMPLE_ERROR, FailureKind.NOT_RECORDED),  # of samples and cassettes, not of services
    *(
        FailureKind.PARSE_ERROR,
        FailureKind.INVALID_ANSWER,
        FailureKind.OUT_OF_LABEL,
        FailureKind.DUPLICATE,
    ),  # of answers: in tests/system
}


def test_every_class_has_a_served_fault_and_every_row_category_is_met() -> None:
    """A class that is added without a fault, or a category that nothing leads to, fails here."""
    assert list(range(1, 39)) == sorted(FAILURES)
    assert set(FAILURES) == {each.number for each in SERVED}
    assert set(FailureKind) - NEVER_SERVED == {FailureKind(each.row) for each in SERVED if each.row != "ok"}
    assert {0, 1, 2, 6, 7} == {ExitCode(each.exit_code) for each in SERVED}


def test_the_page_is_what_the_declarations_say() -> None:
    """`python -m tests.chaos.failure_table` runs them all for real and writes it."""
    assert page() == PAGE.read_text(encoding="utf-8")
    assert len(re.findall(r"^\| \d", page(), re.MULTILINE)) == len(SERVED)


@pytest.mark.system
@pytest.mark.parametrize("code", [0, 1])
def test_what_stops_no_run_comes_out_as_declared(tmp_path: Path, code: int) -> None:
    """Calls and billed calls as the server counted them, rows and exit code of the real command line."""
    served = [each for each in TOGETHER if each.exit_code == code]
    measured = measure_together(tmp_path, served)

    assert [] == [wrong for each, found in zip(served, measured, strict=True) if (wrong := found.differs(each))]


@pytest.mark.system
def test_one_that_stops_the_run_comes_out_as_declared(tmp_path: Path) -> None:
    """One stands for all here; the command runs the others."""
    [served] = [each for each in SERVED if each.fault == "401" and each.how == "alone"]

    assert measure_alone(tmp_path, served).differs(served) == ""


def test_an_outcome_that_is_not_as_declared_is_named() -> None:
    """Each of the four figures, and both ends of a range."""
    served = replace(SERVED[0], calls=(2, 4))
    right = Measured(3, served.billed if isinstance(served.billed, int) else 0, served.row, served.exit_code)
    wrong = [
        replace(right, calls=1),
        replace(right, calls=5),
        replace(right, billed=7),
        replace(right, row="quota"),
        replace(right, exit_code=6),
    ]

    assert right.differs(served) == ""
    assert all(found.differs(served) for found in wrong)
    assert all(a.differs(served) != b.differs(served) for a, b in itertools.pairwise(wrong))


def test_nothing_billed_and_well_formed_is_asked_again() -> None:
    """Whatever the model said, one call; only what broke on its way is billed twice."""
    broken_on_the_way = {11, 12, 16, 28}

    assert broken_on_the_way == {each.number for each in SERVED if isinstance(each.billed, int) and each.billed > 1}
