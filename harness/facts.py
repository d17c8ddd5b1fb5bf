"""What is known of a step beside its time: parameters, floating-point operations, the shapes it gives.

Runs inside foreign builds: standard library and torch only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

MOST_OUTPUTS = 16
"""Shapes that are kept: enough to see that two builds compute the same thing."""


def parameters(networks: Iterable[Any]) -> int:
    """Number of parameters of some networks, a shared one counted once; what is no module has none."""
    found: dict[int, int] = {}
    for network in networks:
        for parameter in getattr(network, "parameters", tuple)():
            found[id(parameter)] = parameter.numel()
    return sum(found.values())


def flops(step: Callable[[], Any]) -> int | None:
    """Floating-point operations of a step, a multiply-add being two, as `torch.utils.flop_counter` counts them.

    It knows matrix products, convolutions and attention; None where it finds none of these, or cannot follow the step.
    """
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with FlopCounterMode(display=False) as counter:
            step()
    except Exception:
        # A step that runs is sound, whatever the counter makes of it.
        return None
    return int(counter.get_total_flops()) or None


def tensors(value: Any) -> Iterator[Any]:
    """All tensors in `value`, through tuples, lists and mappings, in their order; detached."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value.detach()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on whatever device."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def shapes(value: Any) -> list[list[int]]:
    """Shapes of the first tensors in what a step returned."""
    return [list(tensor.shape) for tensor, _ in zip(tensors(value), range(MOST_OUTPUTS), strict=False)]
