"""What a lane answers: the outputs of one forward pass, for comparison with another lane's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def collect(order: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of the lane that an order names."""
    raise NotImplementedError
