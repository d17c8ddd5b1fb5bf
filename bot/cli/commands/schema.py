"""`torchwarden schema`: the JSON Schema of our files."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bot import quantities


def schema(
    of: Annotated[
        str, typer.Argument(metavar="run|verdict|config", help="Which file; of a run, the schema is of one line.")
    ],
) -> None:
    """Print the JSON Schema of a run's lines, of a verdict or of the configuration."""
    from bot import config, verdict
    from harness import records

    schemas = {"run": records.json_schema, "verdict": verdict.json_schema, "config": config.json_schema}
    print(json.dumps(schemas[quantities.known(of, schemas, "schema")](), indent=2))
