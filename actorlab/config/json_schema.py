"""JSON Schema: the schema as editors read it, for completion and red underlining while a file is written.

Pure; printed by `actorlab check --json-schema`. Draft 2020-12, which Taplo (and with it VS Code's "Even Better TOML")
understands: `#:schema ./actorlab.schema.json` in a file's first line. It says less than `check` does (no imports, no
rules between keys), and nothing else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .schema import ACTOR, CHILD_TABLES, FILE, Children, Key, Named, Table
from .values import Kind

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_VARIABLE = {"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}$"}


def json_schema() -> dict[str, Any]:
    """Return the whole schema as plain data."""
    definitions: dict[str, Any] = {"variable": {"description": "A variable of the environment.", **_VARIABLE}}
    whole = _table(FILE, definitions)
    children = [{"$ref": f"#/$defs/{_name(table)}"} for table in CHILD_TABLES.values()]
    for kind, table in CHILD_TABLES.items():
        made = definitions[_name(table)] = _table(table, definitions)
        made["properties"]["type"] = {"const": kind, "description": "what it is"}
        if table is not ACTOR:
            made["required"] = ["type", *made.get("required", [])]
    definitions["child"] = {"oneOf": children}
    return {"$schema": DIALECT, "title": "actorlab", **whole, "$defs": definitions}


def _table(table: Table, definitions: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "object",
        "description": table.help,
        "properties": {key.name: _key(key, definitions) for key in table.keys},
        "additionalProperties": False,
    }
    if required := [key.name for key in table.keys if key.required]:
        made["required"] = required
    return made


def _key(key: Key, definitions: dict[str, Any]) -> dict[str, Any]:
    if key.type is Children:
        return {"type": "array", "items": {"$ref": "#/$defs/child"}, "description": key.help}
    if isinstance(key.type, Named):
        named = _key(Key(key.name, key.type.table, key.type.table.help), definitions)
        return {"type": "object", "additionalProperties": named, "description": key.help}
    if isinstance(key.type, Table):
        name = _name(key.type)
        if name not in definitions:
            definitions[name] = {}  # there, so that a table within itself ends here
            definitions[name] = _table(key.type, definitions)
        return {"$ref": f"#/$defs/{name}", "description": key.help}
    if isinstance(key.type, type) and issubclass(key.type, Kind):
        return {**key.type.json_schema(), "description": f"{key.help}; {key.type.says}"}
    plain = msgspec.json.schema(key.type)
    if plain.get("type") in ("integer", "number", "boolean"):
        plain = {"anyOf": [plain, {"$ref": "#/$defs/variable"}]}
    return {**plain, "description": key.help}


def _name(table: Table) -> str:
    kinds = {id(child): kind for kind, child in CHILD_TABLES.items()}
    return f"child_{kinds[id(table)]}" if id(table) in kinds else table.where.replace(".", "_")
