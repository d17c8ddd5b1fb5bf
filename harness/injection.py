"""Injected slow-down: real extra work behind every step, worth a known fraction of it.

Promises that the work is the same at every step that counts, so that a disturbance of the machine does not scale it
away, and that it leaves neither gradients nor random numbers behind. Runs inside foreign builds: standard library and
torch only.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from harness.clock import Clock, clock_for

_TRIALS = 5


class Injection:
    """So many small matrix products that they take `fraction` of a step; calling it does them.

    Their number is fitted first to a step as the process runs it by itself (`step_seconds()` takes and times one), and
    then again to what `observe` is told: between the steps of another lane a step takes up to a quarter longer, for
    caches are cold, and the products hardly do.
    """

    def __init__(self, device: str, fraction: float, step_seconds: Callable[[], float]) -> None:
        import torch

        self._device, self._fraction = device, fraction
        self._factors = torch.randn(24, 24, device=device), torch.randn(24, 24, device=device)
        self._product = torch.empty(24, 24, device=device)
        self._multiply, self._no_grad = torch.mm, torch.no_grad
        self._observed: list[float] = []
        self.count = 200
        self._product_seconds()
        self.count = self._fitted(step_seconds() / self._product_seconds() for _ in range(_TRIALS))
        self.count = self._fitted(step_seconds() / self._product_seconds() for _ in range(_TRIALS))

    def __call__(self) -> None:
        """Do the work."""
        with self._no_grad():
            for _ in range(self.count):
                self._multiply(*self._factors, out=self._product)

    def observe(self, step_seconds: float) -> None:
        """Take note of a step that was timed among those of other lanes, without the work; fits the work anew."""
        self._observed.append(step_seconds / self._product_seconds())
        self.count = self._fitted(self._observed)

    def _fitted(self, products_in_a_step: Iterable[float]) -> int:
        return max(1, round(self._fraction * statistics.median(products_in_a_step)))

    def _product_seconds(self) -> float:
        clock: Clock = clock_for(self._device)
        clock.start()
        self()
        clock.stop()
        return clock.elapsed / self.count
