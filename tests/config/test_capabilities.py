"""What is known of a service decides how structure is asked for: the best that works, in a fixed order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmbatch.config import UNKNOWN, Capabilities, Endpoint, ModelSettings, ResolvedModel, StructuredMode


@pytest.mark.parametrize(
    ("json_schema", "json_object", "tools", "expected"),
    [
        ("yes", "yes", "yes", "json_schema"),
        ("refused", "yes", "yes", "json_object"),
        ("ignored", "yes", "yes", "json_object"),
        ("ignored", "ignored", "yes", "tool"),
        ("refused", "refused", "refused", "text"),
        ("ignored", "ignored", "ignored", "text"),
        ("refused", "unknown", "yes", "tool"),
        ("refused", "unknown", "refused", "text"),
        ("unknown", "yes", "yes", "json_schema"),
    ],
)
def test_the_best_mode_that_is_known_to_work_is_taken(
    json_schema: str, json_object: str, tools: str, expected: StructuredMode
) -> None:
    """Fallback order: strict schema, JSON mode, tool call, text; ignored is as bad as refused."""
    known = Capabilities(json_schema=json_schema, json_object=json_object, tools=tools)  # type: ignore[arg-type]

    assert known.mode() == expected


def test_an_outage_during_the_probe_does_not_change_what_is_declared() -> None:
    """A 503 to the question of one mode decides nothing about that mode."""
    assert Capabilities(json_schema="unknown", json_object="yes").mode("json_schema") == "json_schema"
    assert Capabilities(json_schema="unknown", json_object="yes").mode("json_object") == "json_object"
    assert Capabilities(json_schema="unknown", json_object="refused", tools="yes").mode("json_object") == "tool"
    assert UNKNOWN.mode("json_object") is None


def test_what_is_configured_goes_before_what_is_probed_and_that_before_what_is_declared() -> None:
    """`structured` of the model, then of the endpoint, then the probe, then what is known of the service."""
    probed = Capabilities(json_schema="refused", json_object="refused", tools="yes")
    declared = ResolvedModel("x/m", Endpoint("x", "http://x/v1", declared="json_object"), "m", ModelSettings("m"))
    configured = replace(declared, endpoint=replace(declared.endpoint, structured="text"))

    assert declared.structured == "json_object"
    assert replace(declared, capabilities=probed).structured == "tool"
    assert replace(configured, capabilities=probed).structured == "text"
    own = replace(configured, settings=ModelSettings("m", structured="json_schema"), capabilities=probed)
    assert own.structured == "json_schema"


@pytest.mark.parametrize(
    ("structured", "of_endpoint", "of_model", "expected"),
    [
        (None, None, None, True),
        ("text", None, None, False),
        ("text", True, None, True),
        (None, False, None, False),
        (None, False, True, True),
        ("text", True, False, False),
    ],
)
def test_a_model_whose_mode_is_set_is_not_probed_unless_it_is_said(
    structured: StructuredMode | None, of_endpoint: bool | None, of_model: bool | None, *, expected: bool
) -> None:
    """`probe` of the model, then of the endpoint, else whether `structured` is left open."""
    endpoint = Endpoint("x", "http://x/v1", structured=structured, probe=of_endpoint)

    assert ResolvedModel("x/m", endpoint, "m", ModelSettings("m", probe=of_model)).wants_probe is expected
