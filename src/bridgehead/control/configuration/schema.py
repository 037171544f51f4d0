"""The JSON Schema of the configuration file, for editors and for `bridgehead config schema`."""

from __future__ import annotations

from typing import Any

from bridgehead.control.configuration.model import ConfigurationFile


def schema() -> dict[str, Any]:
    """The schema of the whole file; a line `#:schema bridgehead.schema.json` in it makes editors use it."""
    generated = ConfigurationFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **generated, "title": "bridgehead.toml"}
