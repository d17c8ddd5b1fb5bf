"""What train steps of several networks do with their losses and weights, phase by phase."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def follow(targets: Iterable[Tensor], sources: Iterable[Tensor], share: float) -> None:
    """Move each target by `share` of the way to its source."""
    with torch.no_grad():
        for target, source in zip(targets, sources, strict=True):
            target.lerp_(source, share)


def descend(loss: Tensor, optimizer: torch.optim.Optimizer, clock: Any) -> None:
    """One step of an optimizer down a loss that has just been computed; marks all three phases."""
    clock.mark("forward")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    clock.mark("backward")
    optimizer.step()
    clock.mark("update")
