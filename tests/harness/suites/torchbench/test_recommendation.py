import pytest

from harness import facts
from harness.benchmark import Request, load
from tests.workloads import meta

torch = pytest.importorskip("torch")

SUITE = load("torchbench")


def shapes(workload):
    return [tuple(shape) for shape in facts.shapes(workload.inputs)]


@pytest.mark.parametrize("type", ["eval", "train"])
def test_dlrm_has_v1s_toy_batch_and_todays_size_of_the_paper(type):
    assert shapes(meta("dlrm", type, "v1")) == [(2, 4), (6,), (6,), (4,), (2,), (2,), (2,)]
    today = shapes(meta("dlrm", type, "current"))
    assert today[0] == (2048, 512)
    assert today[1:9] == [(2048 * 100,)] * 8


@pytest.mark.parametrize(("type", "batch"), [("eval", 1), ("train", 128)])
def test_the_autoencoder_has_v1s_ratings(type, batch):
    assert shapes(meta("nvidia_deeprecommender", type, "v1")) == [(batch, 15_178)]


def test_tables_have_sparse_gradients():
    request = Request("train", "cpu", SUITE["dlrm"].description.sizes["small"])
    workload = SUITE["dlrm"].build(request)
    workload.loss(workload.model(*workload.inputs)).backward()
    assert all(table.weight.grad.is_sparse for table in workload.model.tables)


def test_ratings_that_are_not_known_do_not_train():
    recommendation = pytest.importorskip("harness.suites.torchbench.networks.recommendation")
    predicted = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    recommendation.masked_mse(predicted, torch.tensor([[2.0, 0.0, 3.0]])).backward()
    assert predicted.grad.tolist() == [[-1.0, 0.0, 0.0]]
