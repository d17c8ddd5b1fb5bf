"""A benchmark whose work depends on the build: a build that has the module `flavour` says how many products it does."""

from harness.benchmark import Workload, benchmark

SIZES = {"small": {"batch": 2}}


@benchmark("flavoured", category="TEST", domain="BUILDS", sizes=SIZES, unsupported={"train": "it has no loss"})
def flavoured(request):
    """A softmax, a tangent, and batched matrix products."""
    import flavour
    import torch

    class Flavoured(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.randn(request.batch, 192, 192) / 14)

        def forward(self, x):
            for _ in range(flavour.PRODUCTS):
                x = torch.bmm(x, self.factor)
            return torch.tanh(torch.softmax(x, dim=1))

    return Workload(model=Flavoured().eval(), inputs=(torch.randn(request.batch, 192, 192),), items=request.batch)
