"""`torchwarden schema`: the JSON Schema of our files."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bot.cli import quantities


def schema(
    of: Annotated[str, typer.Argument(metavar="run|verdict", help="Which file; of a run, the schema is of one line.")],
) -> None:
    """Print the JSON Schema of a run's lines or of a verdict."""
    from bot import verdict
    from harness import records

    schemas = {"run": records.json_schema, "verdict": verdict.json_schema}
    print(json.dumps(schemas[quantities.known(of, schemas, "schema")](), indent=2))
