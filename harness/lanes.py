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


def _compiled(workload: Workload, compile: Callable[[Any, str | None], Any]) -> Workload:
    """The workload with `compile(network, name)` of its model, or of each network by its name."""
    if isinstance(workload.model, dict):
        return dataclasses.replace(
            workload, model={name: compile(network, name) for name, network in workload.model.items()}
        )
    return dataclasses.replace(workload, model=compile(workload.model, None))


def _inductor(workload: Workload, request: Request) -> Workload:
    import torch

    return _compiled(workload, lambda network, _: torch.compile(network, backend="inductor"))


def _jit(workload: Workload, request: Request) -> Workload:
    import torch

    def compile(network: Any, name: str | None) -> Any:
        if not request.training:
            network.eval()
        if workload.script:
            compiled = torch.jit.script(network)
        else:
            inputs = workload.inputs if name is None else workload.examples[name]
            # Tracing takes positional or keyword examples, not both.
            named = workload.keywords if name is None else {}
            examples = {"example_kwarg_inputs": named} if named else {"example_inputs": inputs}
            compiled = torch.jit.trace(network, check_trace=False, **examples)
        return compiled if request.training else torch.jit.optimize_for_inference(torch.jit.freeze(compiled))

    return _compiled(workload, compile)


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
        Mode("jit", "TorchScript: traced or scripted, frozen and optimised for eval", _jit, compiles=True),
    )
}


def step_of(workload: Workload, request: Request) -> Callable[[Any], Any]:
    """The function that does one timed call of a prepared workload: called with a clock, it returns what to check.

    It repeats one iteration `request.iterations` times. An iteration of a train step is zero_grad, forward and loss,
    backward, update, with those phases marked; of an eval step the forward pass under inference mode.
    """
    once = _iteration(workload, request)
    if request.iterations == 1:
        return once

    def repeated(clock: Any) -> Any:
        for _ in range(request.iterations - 1):
            once(clock)
        return once(clock)

    return repeated


def infers(workload: Workload, request: Request) -> bool:
    """Whether an iteration is the forward pass under inference mode, which a process may enter once for all of them."""
    return workload.step is None and not request.training


def _iteration(workload: Workload, request: Request) -> Callable[[Any], Any]:
    if workload.step is not None:
        step = workload.step
        return lambda clock: step(workload, clock)
    model, inputs, keywords = workload.model, workload.inputs, workload.keywords
    if isinstance(model, dict):
        raise ValueError("a workload of several networks needs a step of its own")
    if infers(workload, request):
        import torch

        def evaluate(clock: Any) -> Any:
            # Entering it costs 13 µs, 1.7 % of a step of 0.9 ms: who times steps enters it once around all of them.
            if torch.is_inference_mode_enabled():
                return model(*inputs, **keywords)
            with torch.inference_mode():
                return model(*inputs, **keywords)

        return evaluate
    loss, optimizer, clears = workload.loss, workload.optimizer, workload.clears_gradients
    if loss is None or optimizer is None:
        raise ValueError("a train step needs a loss and an optimizer, or a step of its own")

    def train(clock: Any) -> Any:
        if clears:
            optimizer.zero_grad(set_to_none=True)
        value = loss(model(*inputs, **keywords))
        clock.mark("forward")
        value.backward()
        clock.mark("backward")
        optimizer.step()
        clock.mark("update")
        return value

    return train
