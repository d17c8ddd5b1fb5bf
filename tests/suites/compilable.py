"""Benchmarks for accuracy checks and compilers: a sound one, and one for each way in which eager cannot judge."""

import time

from harness.benchmark import Workload, benchmark

SIZES = {"small": {"batch": 4}}


def _workload(request, network, **more):
    import torch

    network.train(request.training)
    return Workload(
        model=network,
        inputs=(torch.randn(request.batch, 6),),
        items=request.batch,
        loss=lambda output: output.square().mean(),
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1) if request.training else None,
        **more,
    )


@benchmark("plain", category="TEST", domain="BACKENDS", sizes=SIZES)
def plain(request):
    """Two layers and a normalisation, which has buffers."""
    from torch import nn

    return _workload(request, nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)))


@benchmark("lenient", category="TEST", domain="BACKENDS", sizes=SIZES, tolerances={"eval": 1.0})
def lenient(request):
    """Two layers that may be off by one."""
    from torch import nn

    return _workload(request, nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 2)))


@benchmark("restless", category="TEST", domain="BACKENDS", sizes=SIZES)
def restless(request):
    """Never gives the same twice."""
    import torch

    class Restless(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(6, 2)

        def forward(self, x):
            return self.layer(x) + time.perf_counter_ns() % 1000

    return _workload(request, Restless())


@benchmark("unloadable", category="TEST", domain="BACKENDS", sizes=SIZES)
def unloadable(request):
    """Cannot be built."""
    raise RuntimeError("there are no weights")


@benchmark("broken", category="TEST", domain="BACKENDS", sizes=SIZES)
def broken(request):
    """Its step raises."""
    import torch

    class Broken(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(6, 2)

        def forward(self, x):
            raise ValueError("no such operator")

    return _workload(request, Broken())


@benchmark("single", category="TEST", domain="BACKENDS", sizes=SIZES)
def single(request):
    """Refuses float64, so that only the cosine can decide."""
    import torch

    class Single(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(6, 2)

        def forward(self, x):
            if x.dtype == torch.float64:
                raise ValueError("float32 only")
            return self.layer(x) * 100

    return _workload(request, Single())


@benchmark("broken_graph", category="TEST", domain="BACKENDS", sizes=SIZES)
def broken_graph(request):
    """Cannot be captured as one graph."""
    import torch

    class BrokenGraph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(6, 6), torch.nn.Linear(6, 2)

        def forward(self, x):
            x = self.first(x)
            torch._dynamo.graph_break()
            return self.second(x)

    return _workload(request, BrokenGraph())
