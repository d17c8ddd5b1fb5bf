"""A small model for each kind of answers, and for each way in which two lanes cannot be compared."""

import time

from harness.benchmark import Workload, benchmark

SIZES = {"small": {"batch": 6}}


def _register(name, **declared):
    return benchmark(name, category="TEST", domain="ANSWERS", sizes=SIZES, types=("eval",), **declared)


def _workload(request, network, labels=(), **more):
    import torch

    return Workload(
        model=network.eval(),
        inputs=(torch.randn(request.batch, 16),),
        items=request.batch,
        labels=labels,
        **more,
    )


def _layers(width):
    from torch import nn

    return nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, width))


@_register("classes", answers="classification", weights="trained")
def classes(request):
    """Twenty classes."""
    return _workload(request, _layers(20))


@_register("random_classes", answers="classification")
def random_classes(request):
    """Twenty classes of a network that says so itself: it is not trained."""
    return _workload(request, _layers(20))


@_register("vectors", answers="embedding", weights="trained")
def vectors(request):
    """Vectors of items with names, one of which is hostile."""
    return _workload(request, _layers(32), labels=("<script>alert(1)</script>", "two", "three", "four", "five", "six"))


@_register("spans", answers="span", weights="trained")
def spans(request):
    """Beginnings and ends."""
    import torch

    class Spans(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = _layers(24)

        def forward(self, x):
            start, end = self.layers(x).chunk(2, dim=1)
            return {"end_logits": end, "start_logits": start}

    return _workload(request, Spans())


@_register("boxes", answers="detection")
def boxes(request):
    """Three boxes in each of two images."""
    import torch

    class Boxes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 12)

        def forward(self, images):
            found = []
            for image in images:
                corners = 10 + 5 * self.layer(image.mean((1, 2))).reshape(3, 4)
                corners = torch.cat([corners[:, :2], corners[:, :2] + 10 + corners[:, 2:].abs()], 1)
                found.append({"boxes": corners, "labels": torch.arange(3), "scores": torch.tensor([0.9, 0.8, 0.01])})
            return found

    images = [torch.rand(3, 48, 64), torch.rand(3, 32, 32)]
    return Workload(model=Boxes().eval(), inputs=(images,), items=2)


@_register("anything")
def anything(request):
    """Numbers."""
    return _workload(request, _layers(3))


@_register("misdeclared", answers="classification")
def misdeclared(request):
    """Says it has classes, and gives a number for each item."""
    import torch

    return _workload(request, torch.nn.Sequential(_layers(3), torch.nn.Flatten(0)))


@_register("restless")
def restless(request):
    """Never gets the same inputs twice."""
    import torch

    workload = _workload(request, _layers(3))
    workload.inputs = (torch.full((2, 16), time.time() % 1000),)
    return workload


@_register("absent", packages=("no_such_package",), weights="trained")
def absent(request):
    """Needs a package that no build has."""
    raise AssertionError("it is skipped")
