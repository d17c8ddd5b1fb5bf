"""Lanes: a mode (how a step is compiled) on a build (which interpreter and libraries).

`MODES` is the table of modes: a new backend is one entry. The half of this module that prepares a step runs inside
workers of foreign builds, so it needs the standard library and torch only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.benchmark import Request, Workload


@dataclass(frozen=True)
class Mode:
    """A way to run a step.

    `prepare` turns a freshly built workload into the one that is timed. `environment` must be set before torch is
    loaded, so lanes that differ in it get nurseries of their own. `compiles` says that the first step holds a
    compilation, which is timed apart; `needs` names the modules that compiling imports, for nurseries to preload.
    """

    name: str
    summary: str
    prepare: Callable[[Workload, Request], Workload]
    environment: Mapping[str, str] = field(default_factory=dict)
    compiles: bool = False
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Lane:
    """One mode on one build; written `mode@build`."""

    mode: str
    build: str

    def __str__(self) -> str:
        return f"{self.mode}@{self.build}"


def _eager(workload: Workload, request: Request) -> Workload:
    return workload


def _inductor(workload: Workload, request: Request) -> Workload:
    import torch

    return dataclasses.replace(workload, model=torch.compile(workload.model, backend="inductor"))


def _jit(workload: Workload, request: Request) -> Workload:
    import torch

    # Tracing takes positional or keyword examples, not both.
    examples = {"example_kwarg_inputs": workload.keywords} if workload.keywords else {"example_inputs": workload.inputs}
    model = torch.jit.trace(workload.model, check_trace=False, **examples)
    if not request.training:
        model = torch.jit.freeze(model)
    return dataclasses.replace(workload, model=model)


MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("eager", "PyTorch as it is", _eager),
        Mode(
            "inductor",
            "torch.compile with its default backend",
            _inductor,
            compiles=True,
            needs=("torch._dynamo", "torch._inductor.compile_fx"),
        ),
        Mode("jit", "TorchScript: traced, and frozen for eval", _jit, compiles=True),
    )
}


def step_of(workload: Workload, request: Request) -> Callable[[Any], Any]:
    """The function that does one step of a prepared workload: called with a clock, it returns what to check.

    A train step is zero_grad, forward and loss, backward, update, with those phases marked; an eval step is the forward
    pass under inference mode.
    """
    if workload.step is not None:
        step = workload.step
        return lambda clock: step(workload, clock)
    model, inputs, keywords = workload.model, workload.inputs, workload.keywords
    if not request.training:
        import torch

        def evaluate(clock: Any) -> Any:
            # Entering it costs 13 µs, 1.7 % of a step of 0.9 ms: who times steps enters it once around all of them.
            if torch.is_inference_mode_enabled():
                return model(*inputs, **keywords)
            with torch.inference_mode():
                return model(*inputs, **keywords)

        return evaluate
    loss, optimizer = workload.loss, workload.optimizer
    if loss is None or optimizer is None:
        raise ValueError("a train step needs a loss and an optimizer, or a step of its own")

    def train(clock: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        value = loss(model(*inputs, **keywords))
        clock.mark("forward")
        value.backward()
        clock.mark("backward")
        optimizer.step()
        clock.mark("update")
        return value

    return train
