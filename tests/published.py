"""The published V1 reference, which lies beside this repository and is not part of it."""

from __future__ import annotations

import pathlib

import pytest

_PATH = pathlib.Path(__file__).parents[2] / "shared" / "data" / "torchbench-v1-reference.yaml"


def v1_reference() -> pathlib.Path:
    """Its path; skips the test that asks where it is absent."""
    if not _PATH.exists():
        pytest.skip("the published V1 reference is not beside this repository (../shared/data)")
    return _PATH
