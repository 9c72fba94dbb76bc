"""The generated documents: valid, complete, and the same whenever they are made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import CommandError, call_command
from drf_spectacular.validation import validate_schema

from chat.log import registry
from chat.log.errors import DESCRIPTIONS
from chat.realtime.closing import CloseCode
from livesale.documents import asyncapi, shapes, wire
from livesale.rest import docs
from tests.rest.world import client

ROOT = Path(__file__).resolve().parents[2]
OFFICIAL = ROOT / "frontend/node_modules/@asyncapi/specs/schemas/3.0.0.json"


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(docs.document())
    return made


def test_openapi_is_valid(openapi: dict[str, Any]) -> None:
    validate_schema(openapi)
    assert openapi["openapi"].startswith("3.1")


def test_every_command_is_one_typed_operation(openapi: dict[str, Any]) -> None:
    for name, spec in registry.COMMANDS.items():
        path = f"/api/v1/streams/{{stream}}/commands/{name}/"
        if spec.system:
            assert path not in openapi["paths"]
            continue
        operation = openapi["paths"][path]["post"]
        assert operation["operationId"] == name
        body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        shape = openapi["components"]["schemas"][body]
        assert shape["additionalProperties"] is False, name
        assert set(shape["properties"]) == set(spec.body.__struct_fields__)
        assert {"200", "400", "401", "403", "404", "409", "429", "503"} <= operation["responses"].keys()
        assert "Idempotency-Key" in {p["name"] for p in operation["parameters"]}


def test_operations_have_names_of_their_own(openapi: dict[str, Any]) -> None:
    names = [o["operationId"] for path in openapi["paths"].values() for o in path.values()]
    assert len(names) == len(set(names))


def test_references_lead_somewhere(openapi: dict[str, Any]) -> None:
    for document in (openapi, asyncapi.document()):
        for reference in _references(document):
            found: Any = document
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for inner in value.values() for r in _references(inner)]
    return [r for inner in value for r in _references(inner)] if isinstance(value, list) else []


def test_the_document_and_its_page_are_served(db: None) -> None:
    answer = client().get("/api/v1/schema/")
    assert answer.json()["info"]["title"] == "livesale"
    page = client().get("/api/v1/docs/")
    assert page.status_code == 200
    assert "/static/drf_spectacular_sidecar/" in page.content.decode()
    assert "cdn" not in page.content.decode()
    assert "'unsafe-inline'" in page["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]


def test_asyncapi_is_valid() -> None:
    assert OFFICIAL.exists(), "npm packages are missing: run `make build`"
    official = json.loads(OFFICIAL.read_text())
    validator = jsonschema.Draft7Validator(official)
    errors = sorted(validator.iter_errors(asyncapi.document()), key=lambda e: list(e.path))
    assert not errors, [(list(e.path), e.message[:200]) for e in errors[:3]]


def test_asyncapi_has_every_message() -> None:
    made = asyncapi.document()
    messages = made["components"]["messages"]
    assert {f"do.{n}" for n, s in registry.COMMANDS.items() if not s.system} <= messages.keys()
    assert {f.__struct_config__.tag for f in wire.SERVER_FRAMES} <= messages.keys()
    kinds = {s["title"] for n, s in made["components"]["schemas"].items() if n.startswith("event.")}
    assert kinds == set(registry.EVENTS)


def test_wire_names_everything() -> None:
    text = wire.text(ROOT / "tests" / "wire" / "golden")
    for frame in (*wire.CLIENT_FRAMES, *wire.SERVER_FRAMES):
        assert f"### `{frame.__struct_config__.tag}`" in text
    for name, spec in registry.COMMANDS.items():
        assert (f"### `{name}`" in text) is not spec.system
    for kind in registry.EVENTS:
        assert f"### `{kind}`" in text
    for code in DESCRIPTIONS:
        assert f"| `{code}` |" in text
    for close in CloseCode:
        assert f"| {int(close)} | `{close.name.lower()}` |" in text


def test_golden_frames_become_examples(tmp_path: Path) -> None:
    (tmp_path / "do.message.send.json").write_text('{"type": "do", "body": {"text": "für alle"}}')
    text = wire.text(tmp_path)
    section = text.split("### `message.send`", 1)[1].split("\n###", 1)[0]
    assert '"text": "für alle"' in section


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "format": "uuid"}, "UUID"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer 1…9"),
        ({"type": "integer", "minimum": 1}, "integer from 1"),
        ({"type": "string", "maxLength": 5}, "text up to 5 characters"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "boolean or null"),
        ({"enum": ["a", 1]}, '`"a"` · `1`'),
        ({"type": "array", "items": [{"type": "integer"}, {}]}, "[integer, anything]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer"),
    ],
)
def test_schemas_in_words(schema: dict[str, Any], words: str) -> None:
    assert shapes.words(schema) == words


def test_documents_are_the_same_whenever_they_are_made() -> None:
    script = (
        "import django; django.setup()\n"
        "import hashlib, sys\n"
        "from pathlib import Path\n"
        "from livesale.management.commands.generate_docs import documents\n"
        f"for make in documents(Path({str(ROOT)!r})).values():\n"
        "    print(hashlib.sha256(make().encode()).hexdigest())\n"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "livesale.settings"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(made) == 1


def test_what_is_not_current_is_noticed(settings: Any, tmp_path: Path) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    with pytest.raises(CommandError, match=r"wire\.md, docs/asyncapi\.json, docs/openapi\.json"):
        call_command("generate_docs", "--check")
    assert not list((tmp_path / "docs").iterdir())
    call_command("generate_docs", verbosity=0)
    call_command("generate_docs", "--check")
    with (tmp_path / "docs" / "wire.md").open("a") as file:
        file.write("\nby hand")
    with pytest.raises(CommandError, match=r"not current: docs/wire\.md;"):
        call_command("generate_docs", "--check")
