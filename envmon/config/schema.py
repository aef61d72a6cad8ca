"""The JSON Schema of a configuration file, for editors."""

import json

from envmon.config.shape import SiteFile
from envmon.config.values import DURATION, duration_text


def schema_text() -> str:
    """Return the JSON Schema (draft 2020-12) as indented text that ends in a newline."""
    schema = SiteFile.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        for key in model["properties"].values():
            if key.get("pattern") == DURATION and "default" in key:
                key["default"] = duration_text(key["default"])  # pydantic shows seconds
    schema["title"] = "envmon configuration"
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"
