import subprocess
import sys

import pytest

from harness import facts
from harness.builds import WORKER_MODULES

torch = pytest.importorskip("torch")


def test_parameters_of_all_networks_count_a_shared_one_once():
    one, two = torch.nn.Linear(3, 4), torch.nn.Linear(3, 4, bias=False)
    assert facts.parameters([one]) == 16
    assert facts.parameters([one, two]) == 16 + 12
    two.weight = one.weight
    assert facts.parameters([one, two, lambda x: x, None]) == 16


def test_a_multiply_add_is_two_operations():
    a, b = torch.ones(3, 5), torch.ones(5, 7)
    assert facts.flops(lambda: a @ b) == 2 * 3 * 5 * 7
    convolution = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert facts.flops(lambda: convolution(torch.ones(2, 3, 10, 10))) == 2 * 2 * 10 * 10 * 8 * 3 * 9


def test_a_backward_pass_is_counted_too():
    weight, given = torch.ones(5, 7, requires_grad=True), torch.ones(3, 5, requires_grad=True)
    assert facts.flops(lambda: (given @ weight).sum().backward()) == 3 * 2 * 3 * 5 * 7


def test_operations_in_inference_mode_are_counted():
    a = torch.ones(4, 4)
    with torch.inference_mode():
        assert facts.flops(lambda: a @ a) == 2 * 4**3


def test_what_cannot_be_counted_is_none():
    def fails():
        raise RuntimeError("no counter may follow")

    assert facts.flops(fails) is None
    assert facts.flops(lambda: torch.ones(3) + 1) is None


def test_tensors_are_found_wherever_they_are_and_in_order():
    one, two, three = (torch.full((size,), 1.0) for size in (1, 2, 3))
    nested = {"a": one, "b": (two, ["text", None, {"c": three}])}
    assert facts.shapes(nested) == [[1], [2], [3]]
    assert len(facts.shapes([one] * 100)) == facts.MOST_OUTPUTS
    assert not next(facts.tensors(torch.ones(1, requires_grad=True))).requires_grad


def test_the_module_goes_into_foreign_builds_and_needs_no_torch_to_be_imported():
    assert "facts.py" in WORKER_MODULES
    code = "import sys, harness.facts; print({'torch', 'numpy', 'msgspec'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
