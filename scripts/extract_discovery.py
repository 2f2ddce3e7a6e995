"""Extracts the part of Google's discovery document for Compute Engine that the emulated cloud checks calls against.

`python scripts/extract_discovery.py` reads the document that google-api-python-client brings (a development
dependency) and writes `discovery.json` of the emulated cloud: the methods below with their parameters, and every schema
that they refer to. The document's revision is in it. The emulated cloud itself needs no Google package.
"""

import json
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "sandbox" / "src" / "gpuctl_sandbox" / "gcp" / "discovery.json"

METHODS = """\
instances.insert instances.get instances.aggregatedList instances.delete instances.setLabels instances.setMetadata
instances.setDeletionProtection instances.getSerialPortOutput instances.testIamPermissions
disks.get disks.aggregatedList zoneOperations.get zoneOperations.list globalOperations.get
firewalls.insert firewalls.get firewalls.list firewalls.delete subnetworks.get
images.get images.getFromFamily machineTypes.aggregatedList acceleratorTypes.aggregatedList
zones.list regions.get regions.list projects.get"""

_KEPT = ("type", "format", "$ref", "enum", "pattern", "readOnly", "default")


def main() -> None:
    text = extract(json.loads(document_path().read_text("utf-8")))
    OUT.write_text(text, "utf-8")
    print(f"{OUT.name}: {len(text) / 1024:.0f} KB")


def extract(document: dict[str, Any]) -> str:
    """The text of the extract: one method or schema a line."""
    methods = {name: _method(document, *name.split(".")) for name in METHODS.split()}
    schemas: dict[str, Any] = {}
    waiting = [ref for method in methods.values() for ref in (method["request"], method["response"]) if ref]
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = _trimmed(document["schemas"][name])
            waiting += _references(schemas[name])
    head = json.dumps({"name": document["id"], "revision": document["revision"], "path": document["servicePath"]})
    parts = (f'"{key}": {{\n{_lines(value)}\n}}' for key, value in (("methods", methods), ("schemas", schemas)))
    return f"{head[:-1]},\n{', '.join(parts)}}}\n"


def document_path() -> Path:
    """Where google-api-python-client keeps Google's document."""
    from googleapiclient import discovery_cache

    return Path(str(discovery_cache.__file__)).parent / "documents" / "compute.v1.json"


def _method(document: dict[str, Any], resource: str, name: str) -> dict[str, Any]:
    method = document["resources"][resource]["methods"][name]
    return {
        "method": method["httpMethod"],
        "path": method["path"],
        "query": {key: _trimmed(p) for key, p in method["parameters"].items() if p["location"] == "query"},
        "names": {key: p["pattern"] for key, p in method["parameters"].items() if p["location"] == "path"},
        "request": method.get("request", {}).get("$ref"),
        "response": method.get("response", {}).get("$ref"),
    }


def _trimmed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without prose. `required` lists the methods that demand the property."""
    remaining = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("annotations", {}).get("required"):
        remaining["required"] = schema["annotations"]["required"]
    if "properties" in schema:
        remaining["properties"] = {name: _trimmed(item) for name, item in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            remaining[key] = _trimmed(schema[key])
    return remaining


def _references(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [ref for value in schema.values() for ref in _references(value)]


def _lines(table: dict[str, Any]) -> str:
    return ",\n".join(f'"{name}": {json.dumps(value, separators=(",", ":"))}' for name, value in sorted(table.items()))


if __name__ == "__main__":
    main()
