"""A benchmark whose size says how often one of its operators is called, for profiles that are to differ in it."""

from harness.benchmark import Workload, benchmark

SIZES = {"small": {"batch": 2, "products": 1}, "doubled": {"batch": 2, "products": 2}}


@benchmark("mixed", category="TEST", domain="PROFILES", sizes=SIZES)
def mixed(request):
    """A softmax, a tangent, and as many batched matrix products as asked for."""
    import torch

    class Mixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.randn(request.batch, 192, 192) / 14)
            self.last = torch.nn.Linear(192, 8)

        def forward(self, x):
            for _ in range(request.size["products"]):
                x = torch.bmm(x, self.factor)
            return self.last(torch.tanh(torch.softmax(x, dim=1)))

    network = Mixed().train(request.training)
    return Workload(
        model=network,
        inputs=(torch.randn(request.batch, 192, 192),),
        items=request.batch,
        loss=lambda output: output.square().mean(),
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1) if request.training else None,
    )


@benchmark("refuses", category="TEST", domain="PROFILES", sizes=SIZES, unsupported={"train": "it has no loss"})
def refuses(request):
    """Cannot be built."""
    raise RuntimeError("there are no weights")
