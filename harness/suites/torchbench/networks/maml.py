"""Model-agnostic meta-learning: a network that becomes good at a new task within a few steps of gradient descent.

Own definitions after Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks"
(2017), with the networks and hyper-parameters of the two versions that TorchBench V1 has. A task is a support set of
`ways * shots` images to adapt to and a query set to be judged by. Adapted weights are tensors that
`torch.func.functional_call` hands to the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.updates import descend

INNER_STEPS = 5
FINE_TUNING_STEPS = 10
META_LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Task:
    """Images [n, 1, 28, 28] to adapt to and to be judged by, and their classes [n]."""

    support: Tensor
    support_classes: Tensor
    query: Tensor
    query_classes: Tensor


class Learner(nn.Module):
    """A network that is called with its weights, a tensor for each parameter in their order."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.network = network
        self.names = [name for name, _ in network.named_parameters()]

    def forward(self, images: Tensor, *weights: Tensor) -> Tensor:
        """Scores [batch, ways] of images [batch, 1, 28, 28]."""
        return functional_call(self.network, dict(zip(self.names, weights, strict=True)), (images,))


def strided(filters: int, ways: int) -> nn.Sequential:
    """Three 3 x 3 convolutions of stride 2 and one of 2 x 2, each with ReLU and then batch norm; a linear layer.

    (12 + 2 * (9 * filters + 3) + 4 * filters + 3) * filters + (filters + 1) * ways parameters; 91,781 with 64 and 5.
    """
    layers: list[nn.Module] = []
    for entering, kernel, stride in ((1, 3, 2), (filters, 3, 2), (filters, 3, 2), (filters, 2, 1)):
        layers += [nn.Conv2d(entering, filters, kernel, stride), nn.ReLU(), nn.BatchNorm2d(filters)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters, ways))


def pooled(filters: int, ways: int) -> nn.Sequential:
    """Three 3 x 3 convolutions, each with batch norm of momentum 1, ReLU and max pooling by 2; a linear layer.

    (12 + 2 * (9 * filters + 3)) * filters + (filters + 1) * ways parameters; 75,205 with 64 and 5.
    """
    layers: list[nn.Module] = []
    for entering in (1, filters, filters):
        layers += [nn.Conv2d(entering, filters, 3), nn.BatchNorm2d(filters, momentum=1.0), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters, ways))


def random_tasks(request: Request, count: int) -> list[Task]:
    """Tasks of normal random images, each class with its share of them."""
    size, device = request.size, request.device
    pixels = (1, size["image"], size["image"])

    def classes(images: int) -> Tensor:
        return torch.arange(size["ways"]).repeat_interleave(images // size["ways"]).to(device)

    supports, queries = size["ways"] * size["shots"], size["queries"]
    return [
        Task(
            torch.randn(supports, *pixels).to(device),
            classes(supports),
            torch.randn(queries, *pixels).to(device),
            classes(queries),
        )
        for _ in range(count)
    ]


def descended(learner: Any, weights: Sequence[Tensor], task: Task, rate: float, differentiable: bool) -> list[Tensor]:
    """The weights after one inner step on the support set; `differentiable` keeps the graph of the gradient too."""
    loss = functional.cross_entropy(learner(task.support, *weights), task.support_classes)
    gradients = torch.autograd.grad(loss, weights, create_graph=differentiable)
    return [weight - rate * gradient for weight, gradient in zip(weights, gradients, strict=True)]


def query_loss(learner: Any, weights: Sequence[Tensor], task: Task) -> Tensor:
    """The cross entropy of the query set."""
    return functional.cross_entropy(learner(task.query, *weights), task.query_classes)


def first_order(request: Request) -> Workload:
    """The strided network: ten steps of fine-tuning on one task, or one meta-update from a batch of tasks.

    The gradient of an inner step counts as a constant, as in the original. That also judged the network by the query
    set before and after every inner step, though only the last of these losses is used; under v1 so does this.
    """
    torch.manual_seed(request.seed)
    learner, weights = _learner(strided, request)
    tasks = random_tasks(request, request.batch)

    def adapted(learn: Any, task: Task, steps: int) -> list[Tensor]:
        fast = weights
        for number in range(steps):
            if request.v1:
                # The first two only reported: no gradient was wanted of them.
                with torch.set_grad_enabled(number > 1):
                    query_loss(learn, fast, task)
            fast = descended(learn, fast, task, rate=0.4, differentiable=False)
        return fast

    def evaluate(workload: Workload, clock: Any) -> Tensor:
        # Adapting needs gradients of the weights, so this is not inference; judging is.
        fast = adapted(workload.model, tasks[0], FINE_TUNING_STEPS)
        with torch.no_grad():
            return workload.model(tasks[0].query, *fast)

    optimizer = torch.optim.Adam(weights, lr=META_LEARNING_RATE)

    def train(workload: Workload, clock: Any) -> Tensor:
        learn = workload.model
        losses = [query_loss(learn, adapted(learn, task, INNER_STEPS), task) for task in tasks]
        loss = torch.stack(losses).mean()
        descend(loss, optimizer, clock)
        return loss.detach()

    inputs = (tasks[0].support, *weights)
    return Workload(model=learner, inputs=inputs, items=len(tasks), step=train if request.training else evaluate)


def second_order(request: Request) -> Workload:
    """The pooled network: its scores of one support set, or one meta-update from a batch of tasks.

    The gradient of the query loss goes through all inner steps, so it has second derivatives; each task is adapted to
    and followed backwards by itself, and their gradients add up.
    """
    torch.manual_seed(request.seed)
    if not request.training:
        size = request.size
        network = pooled(size["filters"], size["ways"]).to(request.device).eval()
        images = torch.randn(request.batch, 1, size["image"], size["image"]).to(request.device)
        return Workload(model=network, inputs=(images,), items=request.batch)

    learner, weights = _learner(pooled, request)
    tasks = random_tasks(request, request.batch)
    optimizer = torch.optim.Adam(weights, lr=META_LEARNING_RATE)

    def train(workload: Workload, clock: Any) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        losses = []
        for task in tasks:
            fast = weights
            for _ in range(INNER_STEPS):
                fast = descended(workload.model, fast, task, rate=0.1, differentiable=True)
            loss = query_loss(workload.model, fast, task)
            clock.mark("forward")
            loss.backward()
            clock.mark("backward")
            losses.append(loss.detach())
        optimizer.step()
        clock.mark("update")
        return torch.stack(losses).mean()

    return Workload(model=learner, inputs=(tasks[0].support, *weights), items=len(tasks), step=train)


def _learner(network: Callable[[int, int], nn.Sequential], request: Request) -> tuple[Learner, list[Tensor]]:
    """The network that is to be adapted, and its weights; batch norm uses the statistics of its batch always."""
    learner = Learner(network(request.size["filters"], request.size["ways"])).to(request.device).train()
    return learner, list(learner.parameters())
