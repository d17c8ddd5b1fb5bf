"""A benchmark whose size says how often one of its operators is called, for profiles that are to differ in it."""

from harness.benchmark import Workload, benchmark

SIZES = {"small": {"batch": 64, "softmaxes": 1}, "doubled": {"batch": 64, "softmaxes": 2}}


@benchmark("mixed", category="TEST", domain="PROFILES", sizes=SIZES)
def mixed(request):
    """Matrix products, and as many softmaxes as asked for."""
    import torch

    class Mixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(16, 2048), torch.nn.Linear(2048, 8)

        def forward(self, x):
            x = self.first(x)
            for _ in range(request.size["softmaxes"]):
                x = torch.softmax(x, dim=1)
            return self.second(torch.tanh(x))

    network = Mixed().train(request.training)
    return Workload(
        model=network,
        inputs=(torch.randn(request.batch, 16),),
        items=request.batch,
        loss=lambda output: output.square().mean(),
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1) if request.training else None,
    )


@benchmark("refuses", category="TEST", domain="PROFILES", sizes=SIZES, unsupported={"train": "it has no loss"})
def refuses(request):
    """Cannot be built."""
    raise RuntimeError("there are no weights")
