"""The OpenAPI document: one operation per command and read, its types taken from the structs that are decoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from drf_spectacular.openapi import AutoSchema

from chat.log import registry
from livesale.rest.errors import Error

if TYPE_CHECKING:
    from livesale.rest.api import Operation

REF = "#/components/schemas/{name}"
COMMANDS = "/api/v1/streams/{stream}/commands/{name}/"

_SAYS = {
    400: ("Invalid", "The request was not understood."),
    401: ("SignedOut", "Sign in first."),
    403: ("Denied", "Not allowed here."),
    404: ("Unknown", "There is nothing here, or this person may not see it."),
    409: ("Refused", "Refused as things stand."),
    413: ("TooLarge", "Too large."),
    415: ("WrongType", "Not the right kind of body."),
    429: ("TooFast", "Too often or too fast; try again after `Retry-After`."),
    503: ("Busy", "Not carried out yet; send the same again after `Retry-After`."),
}


class Types:
    """The structs of one document. A place is kept for each until all are known: two of one name get longer names."""

    def __init__(self) -> None:
        self._asked: dict[Any, int] = {}

    def schema_of(self, kind: Any) -> dict[str, Any]:
        return {"x-type": self._asked.setdefault(kind, len(self._asked))}

    def fill(self, document: Any) -> tuple[Any, dict[str, Any]]:
        """The document with every place taken by its schema, and the components that those refer to."""
        schemas, components = msgspec.json.schema_components(list(self._asked), ref_template=REF)

        def walk(value: Any) -> Any:
            if isinstance(value, dict):
                if "x-type" in value:
                    return schemas[value["x-type"]]
                return {key: walk(inner) for key, inner in value.items()}
            return [walk(inner) for inner in value] if isinstance(value, list) else value

        return walk(document), dict(sorted(components.items()))


types = Types()


class StructSchema(AutoSchema):
    """Reads the `Operation` of a view's method."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any] | None:
        handler = getattr(self.view, method.lower())
        found: Operation | None = getattr(handler, "operation", None)
        if found is None:
            return None
        summary, _, description = _document(handler).partition("\n")
        made: dict[str, Any] = {
            "operationId": found.name,
            "summary": summary,
            "tags": [self._tag(path)],
            "security": self._security(found),
            "responses": self._responses(found, method),
        }
        if description.strip():
            made["description"] = description.strip()
        parameters = self._parameters(found, path, path_regex)
        if parameters:
            made["parameters"] = parameters
        if found.body is not None:
            made["requestBody"] = self._request_body(found)
        return made

    def _tag(self, path: str) -> str:
        command: str = getattr(self.view, "command", "")
        return f"commands: {command.partition('.')[0]}" if command else path.split("/")[3]

    def _security(self, found: Operation) -> list[dict[str, Any]]:
        if found.security == "key":
            return [{"shopKey": []}]
        return [{"session": []}, {}] if found.guests else [{"session": []}]

    def _request_body(self, found: Operation) -> dict[str, Any]:
        fields = msgspec.structs.fields(found.body)
        return {
            "required": any(field.required for field in fields),
            "content": {found.body_type: {"schema": _body_schema(found)}},
        }

    def _responses(self, found: Operation, method: str) -> dict[str, Any]:
        content: dict[str, Any] = {"type": "string"}
        if found.media_type == "application/json":
            content = types.schema_of(found.answer)
        responses: dict[str, Any] = {
            str(found.status): {"description": "Done.", "content": {found.media_type: {"schema": content}}}
        }
        failures = {400, 404, 429, 503, *found.errors}
        failures |= set() if found.guests and method == "GET" else {401, 403}
        failures |= {409, 413, 415} if found.body is not None else set()
        for status in sorted(failures):
            responses[str(status)] = {"$ref": f"#/components/responses/{_SAYS[status][0]}"}
        return responses

    def _parameters(self, found: Operation, path: str, path_regex: str) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = []
        for name in re.findall(r"{(\w+)}", path):
            kind = {"type": "string"}
            if f"<uuid:{name}>" in path_regex:
                kind["format"] = "uuid"
            parameters.append({"name": name, "in": "path", "required": True, "schema": kind})
        if found.query is not None:
            _, components = msgspec.json.schema_components([found.query], ref_template=REF)
            shape = components[found.query.__name__]
            parameters += [
                {
                    "name": name,
                    "in": "query",
                    "required": name in shape.get("required", []),
                    "schema": {k: v for k, v in schema.items() if v is not None},
                }
                for name, schema in shape["properties"].items()
            ]
        if getattr(self.view, "command", ""):
            parameters.append(
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "required": False,
                    "description": "A UUID of version 7, made by the client: sent again it gets the same answer.",
                    "schema": {"type": "string", "format": "uuid"},
                }
            )
        return parameters


def _body_schema(found: Operation) -> dict[str, Any]:
    if found.body_type == "application/json":
        return types.schema_of(found.body)
    # a form: its files are bytes as they are, not text
    _, components = msgspec.json.schema_components([found.body], ref_template=REF)
    schema: dict[str, Any] = components[found.body.__name__]
    for name, field in zip(schema["properties"], msgspec.structs.fields(found.body), strict=True):
        if field.type is bytes:
            schema["properties"][name] = {"type": "string", "format": "binary"}
    return schema


def _document(handler: Any) -> str:
    lines = (handler.__doc__ or "").strip().splitlines()
    return "\n".join(line.strip() for line in lines)


def expand_commands(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Put one endpoint per registered command in the place of the one route that takes them all."""
    found = []
    for path, path_regex, method, callback in endpoints:
        if path != COMMANDS:
            found.append((path, path_regex, method, callback))
            continue
        for name, spec in sorted(registry.COMMANDS.items()):
            if not spec.system:
                typed = callback.cls.for_command(spec)
                found.append((path.replace("{name}", name), path_regex, method, typed.as_view()))
    return found


def add_components(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add the structs that the operations refer to, and how one signs in."""
    components = result.setdefault("components", {})
    components["responses"] = {
        name: {"description": text, "content": {"application/json": {"schema": types.schema_of(Error)}}}
        for name, text in _SAYS.values()
    }
    result, schemas = types.fill(result)
    components = result["components"]
    components["schemas"] = schemas
    components["securitySchemes"] = {
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The session cookie of `/_allauth/browser/v1/auth/login`. Requests other than GET also need "
            "the value of the cookie `csrftoken` in the header `X-CSRFToken`.",
        },
        "shopKey": {"type": "http", "scheme": "bearer", "description": "A shop's API key."},
    }
    return result
