"""The JSON schema of a type as pydantic words it, with a mark where there is none. Knows no strict mode.

A mark says why and what to write instead. It is no exception, since pydantic does not know where in the type it is.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import core_schema

REFUSED = "llmbatch_refused"
"""The keyword of a mark: its reason, and the fix."""


def json_schema_of(adapter: TypeAdapter[Any], mode: JsonSchemaMode, *, by_alias: bool = True) -> JsonSchemaValue:
    """Return the schema of what a type takes (`validation`) or gives (`serialization`)."""
    return adapter.json_schema(mode=mode, by_alias=by_alias, schema_generator=_Generator)


class _Generator(GenerateJsonSchema):
    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing: what it warns of are defaults that have no JSON form, and defaults are never sent."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """Mark a type that has no JSON form, a function for instance."""
        kind = schema["type"].replace("-", " ")
        return _refused(
            f"its type has no JSON form ({kind})", "use a type that a model can write: str, int, a model ..."
        )

    def generator_schema(self, schema: core_schema.GeneratorSchema) -> JsonSchemaValue:
        """Mark an Iterable, which is not looked at until somebody reads it: its items are never validated."""
        return _refused("it is an Iterable, whose items are not validated", "write list[...] in its place")

    def model_field_schema(self, schema: core_schema.ModelField) -> JsonSchemaValue:
        """Mark a field that is read from inside another one: no answer could give it."""
        alias = schema.get("validation_alias")
        paths = alias if isinstance(alias, list) and self.mode == "validation" else None
        if paths and not any(isinstance(path, list) and len(path) == 1 for path in paths):
            return _refused("its alias is a path into another value", "give it a name of its own, and derive it there")
        return super().model_field_schema(schema)


def _refused(reason: str, fix: str) -> JsonSchemaValue:
    return {REFUSED: [reason, fix]}
