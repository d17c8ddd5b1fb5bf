import pathlib

import pytest

from harness import answers
from harness.answering import read
from harness.benchmark import ANSWERS
from tests import sessions

torch = pytest.importorskip("torch")

SUITE = str(sessions.SUITES / "answering.py")


@pytest.fixture(autouse=True)
def threads_as_they_were():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def ask(tmp_path):
    def asked(name, mode="eager", weights=None):
        order = {
            **{"suite": SUITE, "benchmark": name, "type": "eval", "device": "cpu", "mode": mode, "seed": 1337},
            **{"size": {"batch": 6}, "threads": 1, "result": str(tmp_path / "result")},
            "weights": None if weights is None else str(weights),
        }
        return answers.collect(order), read(tmp_path / "result")[0]

    return asked


def test_every_declared_kind_can_be_taken_apart():
    assert answers.KINDS.keys() == ANSWERS.keys()


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("classes", {"logits": (6, 20)}),
        ("vectors", {"embeddings": (6, 32)}),
        ("spans", {"start_logits": (6, 12), "end_logits": (6, 12)}),
        ("anything", {"output 0": (6, 3)}),
        (
            "boxes",
            {
                **{f"{word} {n}": shape for n in (0, 1) for word, shape in (("boxes", (3, 4)), ("labels", (3,)))},
                **{"scores 0": (3,), "scores 1": (3,), "image 0": (3, 48, 64), "image 1": (3, 32, 32)},
            },
        ),
    ],
)
def test_answers_are_handed_over_by_name(ask, name, shapes):
    told, found = ask(name)
    assert {key: tensor.shape for key, tensor in found.items()} == shapes
    assert len(told["digest"]) == 64


def test_a_span_is_taken_by_the_names_of_its_ends_and_not_by_their_order(ask):
    _, found = ask("spans")
    output = {"end_logits": torch.ones(1, 2), "start_logits": torch.zeros(1, 2)}
    assert answers.KINDS["span"](output)["start_logits"].sum() == 0
    assert (found["start_logits"] != found["end_logits"]).any()


def test_lanes_are_given_the_same_and_answer_in_their_own_precision(ask):
    (told, exact), (told_too, rounded) = ask("vectors"), ask("vectors", "eager_bf16")
    assert told == told_too
    assert told["labels"][1] == "two"
    assert 0 < abs(exact["embeddings"] - rounded["embeddings"]).max() < 0.05


@pytest.mark.parametrize("output", [[torch.zeros(2)], torch.zeros(3), {"logits": torch.zeros(1, 2, 3)}])
@pytest.mark.parametrize("kind", ["classification", "detection", "embedding", "span"])
def test_an_output_that_is_not_of_its_kind_is_an_error(kind, output):
    with pytest.raises(ValueError, match=r"are a|is two"):
        answers.KINDS[kind](output)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_are_loaded_from_a_file(ask, tmp_path, suffix):
    torch.manual_seed(7)
    network = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.Tanh(), torch.nn.Linear(64, 3))
    path = tmp_path / f"anything{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": network.state_dict()}, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(network.state_dict(), path)
    plain, _ = ask("anything")
    told, found = ask("anything", weights=path)
    assert told["digest"] != plain["digest"]
    torch.manual_seed(1337)
    torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.Tanh(), torch.nn.Linear(64, 3))
    expected = network(torch.randn(6, 16)).detach().numpy()
    assert found["output 0"] == pytest.approx(expected, abs=1e-5)


def test_weights_that_do_not_fit_or_hold_code_are_refused(ask, tmp_path):
    torch.save({"0.weight": torch.zeros(3, 3)}, tmp_path / "other.pt")
    with pytest.raises(RuntimeError, match="state_dict"):
        ask("anything", weights=tmp_path / "other.pt")
    torch.save(pathlib.Path(), tmp_path / "code.pt")
    with pytest.raises(Exception, match=r"(?i)weights_only"):
        ask("anything", weights=tmp_path / "code.pt")
