"""Two sane benchmarks whose step takes about a millisecond, for tests that need something to measure."""

from harness.benchmark import Workload, benchmark

SIZES = {"small": {"batch": 16}, "tiny": {"batch": 2}}


def _workload(request, network):
    import torch

    network.train(request.training)
    return Workload(
        model=network,
        inputs=(torch.randn(request.batch, 192),),
        items=request.batch,
        loss=lambda output: output.square().mean(),
        optimizer=torch.optim.SGD(network.parameters(), lr=1e-4) if request.training else None,
    )


@benchmark("perceptron", category="TEST", domain="TINY", sizes=SIZES)
def perceptron(request):
    """Three layers."""
    from torch import nn

    return _workload(
        request, nn.Sequential(nn.Linear(192, 768), nn.Tanh(), nn.Linear(768, 768), nn.Tanh(), nn.Linear(768, 1))
    )


@benchmark("autoencoder", category="TEST", domain="TINY", sizes=SIZES, unsupported={"cuda": "it is for CPUs"})
def autoencoder(request):
    """Two layers."""
    from torch import nn

    return _workload(request, nn.Sequential(nn.Linear(192, 1024), nn.ReLU(), nn.Linear(1024, 192)))
