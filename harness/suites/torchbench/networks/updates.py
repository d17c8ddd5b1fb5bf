"""What train steps of several networks do with their losses and weights, phase by phase."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


class OfEachCall:
    """An optimizer that is made anew at the first of every `iterations` steps, as V1 does inside its train call.

    Making it and its moments is part of what is timed, and the moments are those of the last few steps only. `current`
    is the one at work.
    """

    def __init__(self, make: Callable[[], Any], iterations: int) -> None:
        self._make, self._iterations = make, iterations
        self._left = 0
        self.current: Any = None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, with a new optimizer when a call begins."""
        if self._left == 0:
            self.current = self._make()
            self._left = self._iterations
        self.current.zero_grad(set_to_none)

    def step(self) -> None:
        """Update the parameters."""
        self.current.step()
        self._left -= 1
