"""Structs as JSON schemas, and schemas as words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

REF = "#/components/schemas/{name}"


def schemas(kinds: Iterable[Any]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """For each type its schema (a reference, for a struct), and the components that they refer to."""
    wanted = list(dict.fromkeys(kinds))
    found, components = msgspec.json.schema_components([_plain(k) for k in wanted], ref_template=REF)
    made = dict(zip(wanted, (draft7(schema) for schema in found), strict=True))
    return made, {name: draft7(schema) for name, schema in sorted(components.items())}


def _plain(kind: Any) -> Any:
    """The same struct for msgspec's schemas, which cannot show a default that is encoded already."""
    fields = msgspec.structs.fields(kind)
    if not any(isinstance(field.default, msgspec.Raw) for field in fields):
        return kind
    config = kind.__struct_config__
    plain: list[Any] = [
        (field.name, field.type)
        if field.required
        else (field.name, Any if field.type is msgspec.Raw else field.type, _default(field))
        for field in fields
    ]
    return msgspec.defstruct(
        kind.__name__, plain, tag=config.tag, tag_field=config.tag_field, namespace={"__doc__": kind.__doc__}
    )


def _default(field: Any) -> Any:
    if isinstance(field.default, msgspec.Raw):
        return msgspec.json.decode(field.default)
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def draft7(schema: Any) -> Any:
    """The same schema in words that JSON Schema draft 7 knows: tuples are lists of `items`."""
    if isinstance(schema, list):
        return [draft7(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: draft7(inner) for name, inner in schema.items()}
    if "prefixItems" in made:
        made["items"] = made.pop("prefixItems")
        made["additionalItems"] = False
    return made


def words(schema: dict[str, Any]) -> str:
    """A schema as a reader says it: `UUID`, `integer 1…999`, `list of UUID`, `text or null`."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rsplit('/', 1)[1]}`"
    if "anyOf" in schema:
        return " or ".join(words(one) for one in schema["anyOf"])
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if "enum" in schema:
        return " · ".join(
            f'`"{value}"`' if isinstance(value, str) else f"`{value}`" for value in schema["enum"]
        )
    kind = schema.get("type")
    if kind == "array":
        return _array(schema)
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"object of {words(inner)}" if isinstance(inner, dict) and inner else "object"
    if kind == "string":
        return _string(schema)
    if kind in {"integer", "number"}:
        return kind + _range(schema.get("minimum"), schema.get("maximum"))
    return {"boolean": "boolean", "null": "null"}.get(str(kind), "anything")


def _array(schema: dict[str, Any]) -> str:
    inner = schema.get("items")
    if isinstance(inner, list):
        return "[" + ", ".join(words(one) for one in inner) + "]"
    text = f"list of {words(inner)}" if isinstance(inner, dict) and inner else "list"
    return text + _range(schema.get("minItems"), schema.get("maxItems"))


def _string(schema: dict[str, Any]) -> str:
    if schema.get("format") == "uuid":
        return "UUID"
    text = "text" + _range(schema.get("minLength"), schema.get("maxLength"), "characters")
    return f"{text} like `{schema['pattern']}`" if "pattern" in schema else text


def _range(least: int | None, most: int | None, unit: str = "") -> str:
    unit = f" {unit}" if unit else ""
    if least is None and most is None:
        return ""
    if most is None:
        return f" from {least}{unit}"
    if least is None or least == 0:
        return f" up to {most}{unit}"
    return f" {least}…{most}{unit}"


def document(kind: type) -> str:
    """A struct's docstring, its lines joined into paragraphs."""
    paragraphs = [" ".join(p.split()) for p in (kind.__doc__ or "").split("\n\n")]
    return "\n\n".join(p for p in paragraphs if p)
