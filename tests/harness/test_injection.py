import time

import pytest

from harness.builds import WORKER_MODULES
from harness.injection import Injection

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")


def seconds_of(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def test_the_work_leaves_a_train_step_its_gradients():
    weight = torch.ones(32, 32, requires_grad=True)

    def step_seconds():
        (weight @ weight).sum().backward()
        return 1e-4

    Injection("cpu", 0.2, step_seconds)()
    assert torch.is_grad_enabled()
    assert weight.grad is not None


def test_the_work_leaves_no_gradient_and_no_random_number_behind():
    injection = Injection("cpu", 0.1, lambda: 1e-3)
    before = torch.get_rng_state()
    with torch.inference_mode():
        injection()
    injection()
    assert torch.equal(before, torch.get_rng_state())


def test_the_work_is_worth_its_fraction_of_a_step():
    matrix = torch.randn(64, 64)

    def step():
        for _ in range(50):
            torch.tanh(matrix @ matrix)

    works = {fraction: Injection("cpu", fraction, lambda: seconds_of(step)) for fraction in (0.5, 2.0)}
    # The quickest of many: what a busy machine adds to both is left out.
    shortest = min(seconds_of(step) for _ in range(60))
    shares = {fraction: min(seconds_of(work) for _ in range(60)) / shortest for fraction, work in works.items()}
    assert 0.2 < shares[0.5] < 1.0
    assert 1.0 < shares[2.0] < 4.0


def test_the_work_is_fitted_to_steps_among_those_of_other_lanes_and_then_stays(monkeypatch):
    injection = Injection("cpu", 0.1, lambda: 1e-3)
    monkeypatch.setattr(injection, "_product_seconds", lambda: 1e-6)
    counts = []
    for seconds in (2e-3, 4e-3, 3e-3):
        injection.observe(seconds)
        counts.append(injection.count)
    assert counts == [200, 300, 300]
    monkeypatch.undo()
    injection()
    assert injection.count == 300


def test_the_number_of_products_is_what_is_done(monkeypatch):
    calls = []
    product = torch.mm
    monkeypatch.setattr(torch, "mm", lambda *arguments, **keywords: calls.append(1) or product(*arguments, **keywords))
    injection = Injection("cpu", 0.1, lambda: 1e-3)
    for _ in range(3):
        calls.clear()
        injection()
        assert len(calls) == injection.count > 0


def test_the_module_goes_into_foreign_builds():
    assert "injection.py" in WORKER_MODULES
