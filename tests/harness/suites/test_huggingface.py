"""Every model of the suite `huggingface`: the lists it stands on, its description, its numbers, and real steps.

Whole models are built on the meta device, which costs nothing; `make test-full` builds and runs all of them.
"""

import importlib

import pytest

from harness import facts
from harness.benchmark import load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of
from tests.workloads import (
    FULL,
    batches,
    build,
    check_description,
    check_steps,
    libraries_loaded_by,
    meta,
    published,
)

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

SUITE = load("huggingface")
CURRENT = """
AlbertForMaskedLM:8:2 AllenaiLongformerBase:8:2 BartForCausalLM:8:2 BertForMaskedLM:32:2 BlenderbotForCausalLM:32:8
BlenderbotForConditionalGeneration:16:1 DebertaV2ForMaskedLM:8:4 DistilBertForMaskedLM:256:2 DistillGPT2:32:2
ElectraForCausalLM:64:2 GPT2ForSequenceClassification:8:2 GPTJForCausalLM:1:1 GPTJForQuestionAnswering:1:1
GPTNeoForCausalLM:32:1 GPTNeoForSequenceClassification:32:1 GoogleFnet:32:2 LayoutLMForMaskedLM:32:2
M2M100ForConditionalGeneration:64:4 MBartForCausalLM:8:2 MT5ForConditionalGeneration:32:2
MegatronBertForCausalLM:16:4 MobileBertForMaskedLM:256:2 OPTForCausalLM:4:2 PLBartForCausalLM:16:2
PegasusForCausalLM:128:4 RobertaForCausalLM:32:2 T5ForConditionalGeneration:8:2 T5Small:8:2 TrOCRForCausalLM:64:2
XGLMForCausalLM:32:4 XLNetLMHeadModel:16:2 YituTechConvBert:32:2 Llama-3.2-1B:8:8 gemma-2-2b:8:8 gemma-3-4b-it:8:8
whisper-tiny:8:8 Qwen3-0.6B:8:8 Mistral-7B-Instruct-v0.3:8:8 gpt-oss-20b:8:8 Reformer:64:1
"""
"""The list of today: name, the list's number, its divisor. Reformer is in the harness's code alone."""
LIST_2025 = """
AlbertForMaskedLM:8 AlbertForQuestionAnswering:8 AllenaiLongformerBase:8 BartForCausalLM:8
BartForConditionalGeneration:4 BertForMaskedLM:32 BertForQuestionAnswering:32 BlenderbotForCausalLM:32
BlenderbotForConditionalGeneration:16 BlenderbotSmallForCausalLM:256 BlenderbotSmallForConditionalGeneration:128
CamemBert:32 DebertaV2ForMaskedLM:8 DebertaV2ForQuestionAnswering:8 DistilBertForMaskedLM:256
DistilBertForQuestionAnswering:512 DistillGPT2:32 ElectraForCausalLM:64 ElectraForQuestionAnswering:128
GPT2ForSequenceClassification:8 GPTJForCausalLM:1 GPTJForQuestionAnswering:1 GPTNeoForCausalLM:32
GPTNeoForSequenceClassification:32 GoogleFnet:32 LayoutLMForMaskedLM:32 LayoutLMForSequenceClassification:32
M2M100ForConditionalGeneration:64 MBartForCausalLM:8 MBartForConditionalGeneration:4 MT5ForConditionalGeneration:32
MegatronBertForCausalLM:16 MegatronBertForQuestionAnswering:16 MobileBertForMaskedLM:256
MobileBertForQuestionAnswering:256 OPTForCausalLM:4 PLBartForCausalLM:16 PLBartForConditionalGeneration:8
PegasusForCausalLM:128 PegasusForConditionalGeneration:64 RobertaForCausalLM:32 RobertaForQuestionAnswering:32
T5ForConditionalGeneration:8 T5Small:8 TrOCRForCausalLM:64 XGLMForCausalLM:32 XLNetLMHeadModel:16
YituTechConvBert:32 Llama-3.2-1B:8 gemma-2-2b:8 gemma-3-4b-it:8 whisper-tiny:8 Qwen3-0.6B:8
Mistral-7B-Instruct-v0.3:8 gpt-oss-20b:8
"""
"""The list before October 2025."""
CPU = """
AlbertForMaskedLM:4 AllenaiLongformerBase:4 BartForCausalLM:4 BertForMaskedLM:16 BigBird:32 BlenderbotForCausalLM:32
DebertaV2ForMaskedLM:16 DistilBertForMaskedLM:128 DistillGPT2:16 ElectraForCausalLM:8 GoogleFnet:16
GPT2ForSequenceClassification:4 LayoutLMForMaskedLM:16 M2M100ForConditionalGeneration:16 MBartForCausalLM:4
MegatronBertForCausalLM:4 MobileBertForMaskedLM:64 MT5ForConditionalGeneration:16 OPTForCausalLM:2
PegasusForCausalLM:32 PLBartForCausalLM:8 RobertaForCausalLM:16 T5ForConditionalGeneration:4 T5Small:1
TrOCRForCausalLM:32 XGLMForCausalLM:8 XLNetLMHeadModel:8 YituTechConvBert:16
"""
"""The batch sizes of the file for CPUs."""
EARLIER = """
DebertaForMaskedLM:32 DebertaForQuestionAnswering:32 Speech2Text2ForCausalLM:1024 BigBird:8 Reformer:64
"""
"""Models that were on lists before that of 2025."""
PUBLISHED_PARAMETERS = {
    "BertForMaskedLM": 109_514_298,
    "T5Small": 60_506_624,
    "Llama-3.2-1B": 1_235_814_400,
    "gemma-2-2b": 2_614_341_888,
    "gemma-3-4b-it": 4_300_079_472,
    "whisper-tiny": 37_760_640,
    "Qwen3-0.6B": 596_049_920,
    "Mistral-7B-Instruct-v0.3": 7_248_023_552,
    "gpt-oss-20b": 20_914_757_184,
}
"""What the model's own page says, or its checkpoint holds."""
GONE = {"Speech2Text2ForCausalLM"}
GENERATORS = [name for name, entry in SUITE.items() if entry.description.types == ("eval",)]
SOME = ("BertForMaskedLM", "T5Small", "GPT2ForSequenceClassification")
"""A model that fills in, one with encoder and decoder, and one that sorts."""
BUILDABLE = [name for name in SUITE if name not in GONE]
STEPS = [(name, type) for name in BUILDABLE for type in SUITE[name].description.types]

each = pytest.mark.parametrize("name", SUITE)


def test_the_list_of_today_has_its_models_and_batch_sizes():
    assert batches("huggingface", "current") == published(CURRENT)
    assert len(published(CURRENT)) == 40


def test_the_lists_before_have_their_models_and_their_own_numbers_where_today_has_none():
    today = published(CURRENT)
    for name, text, count in (("2025", LIST_2025, 55), ("earlier", EARLIER, 5)):
        then = published(text)
        assert batches("huggingface", name) == {model: today.get(model, batch) for model, batch in then.items()}
        assert len(then) == count


def test_every_model_is_on_a_list():
    assert set(SUITE) == set(published(CURRENT)) | set(published(LIST_2025)) | set(published(EARLIER))


def test_the_size_for_cpus_has_the_files_batch_sizes():
    found = {name: entry.description.sizes["cpu"]["batch"] for name, entry in SUITE.items() if _on_cpu(entry)}
    assert found == published(CPU)


def _on_cpu(entry):
    return "cpu" in entry.description.sizes


@each
def test_a_description_is_whole(name):
    description = SUITE[name].description
    assert {"small", "current"} <= set(description.sizes) <= {"small", "current", "cpu"}
    check_description(description)


@pytest.mark.parametrize(
    ("sequence", "names"),
    [
        (128, ["BlenderbotForCausalLM", "MobileBertForMaskedLM", "XGLMForCausalLM", "M2M100ForConditionalGeneration"]),
        (256, ["TrOCRForCausalLM"]),
        (512, ["AlbertForMaskedLM", "DebertaV2ForMaskedLM", "DistillGPT2", "GoogleFnet", "YituTechConvBert"]),
        (512, ["ElectraForCausalLM", "LayoutLMForMaskedLM", "RobertaForCausalLM", "XLNetLMHeadModel"]),
        (1024, ["GPT2ForSequenceClassification", "BartForCausalLM", "T5Small", "MBartForCausalLM"]),
        (1024, ["AllenaiLongformerBase", "PLBartForCausalLM"]),
        (2048, ["OPTForCausalLM"]),
        (4096, ["Reformer"]),
    ],
)
def test_texts_are_as_long_as_in_the_harness(sequence, names):
    assert {name: SUITE[name].description.sizes["current"]["sequence"] for name in names} == dict.fromkeys(
        names, sequence
    )


def test_importing_the_suite_does_not_import_torch():
    assert libraries_loaded_by("huggingface") == "set()"


def test_what_the_benchmarks_need_can_be_preloaded():
    for module in {need for entry in SUITE.values() for need in entry.description.needs}:
        importlib.import_module(module)


def test_what_is_gone_says_so_and_cannot_run():
    assert {name for name in SUITE if SUITE[name].description.why_not("eval", "cpu", "eager")} == GONE
    assert "no more" in SUITE["Speech2Text2ForCausalLM"].description.why_not("train", "cuda", "inductor")


def test_published_parameters_are_those_described():
    assert {name: SUITE[name].description.parameters["current"] for name in PUBLISHED_PARAMETERS} == (
        PUBLISHED_PARAMETERS
    )


def _check_parameters(name):
    for size, count in SUITE[name].description.parameters.items():
        assert facts.parameters(meta(name, "eval", size, suite="huggingface").networks()) == count, size


@pytest.mark.parametrize("name", [*SOME, "Llama-3.2-1B", "gemma-3-4b-it"])
def test_parameters_are_as_described(name):
    _check_parameters(name)


@FULL
@pytest.mark.parametrize("name", BUILDABLE)
def test_parameters_of_every_model_are_as_described(name):
    _check_parameters(name)


@pytest.mark.parametrize("type", ["eval", "train"])
@pytest.mark.parametrize("name", SOME)
def test_a_small_step_runs_again_and_again_and_is_finite(name, type):
    check_steps(*build(name, type, suite="huggingface"))


@FULL
@pytest.mark.parametrize(("name", "type"), STEPS)
def test_a_small_step_of_every_model_runs_again_and_again_and_is_finite(name, type):
    check_steps(*build(name, type, suite="huggingface"))


def test_a_seed_gives_the_same_tokens_and_labels():
    one, two, other = (
        build("BertForMaskedLM", "eval", suite="huggingface", seed=seed)[0].keywords for seed in (1, 1, 2)
    )
    assert set(one) == {"input_ids", "labels"}
    for key, tokens in one.items():
        assert torch.equal(tokens, two[key])
        assert not torch.equal(tokens, other[key])
        assert 0 <= int(tokens.min()) <= int(tokens.max()) < 4096


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("T5Small", {"input_ids", "decoder_input_ids", "labels"}),
        ("BartForConditionalGeneration", {"input_ids", "labels"}),
        ("BertForQuestionAnswering", {"input_ids", "start_positions", "end_positions"}),
    ],
)
def test_a_step_is_given_what_its_loss_wants(name, keys):
    assert set(meta(name, "train", "small", suite="huggingface").keywords) == keys


def test_roberta_is_given_padding_alone_as_in_the_harness():
    tokens = build("RobertaForCausalLM", "eval", suite="huggingface")[0].keywords["input_ids"]
    assert not tokens.any()


def test_dropout_costs_time_but_changes_nothing_and_no_cache_is_kept():
    workload, _ = build("BertForMaskedLM", "train", suite="huggingface")
    rates = {module.p for module in workload.model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {1e-30}
    assert workload.model.config.use_cache is False
    with torch.no_grad():
        one, two = (workload.model(**workload.keywords).loss for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize(("name", "optimizer"), [("BertForMaskedLM", "Adam"), ("OPTForCausalLM", "SGD")])
def test_the_optimizer_is_the_harnesss(name, optimizer):
    workload = meta(name, "train", "small", suite="huggingface")
    assert type(workload.optimizer).__name__ == optimizer
    assert workload.optimizer.defaults["lr"] == 0.01
    assert workload.optimizer.defaults["foreach"] is True


def test_the_generators_are_the_seven_that_the_harness_times_generating():
    assert len(GENERATORS) == 7
    assert all("jit" in SUITE[name].description.unsupported for name in GENERATORS)
    assert all("/" in SUITE[name].description.summary for name in GENERATORS)


def _generated(name):
    workload, request = build(name, "eval", suite="huggingface")
    return workload, step_of(workload, request)(CpuClock())


def test_a_generator_makes_the_tokens_it_is_asked_for():
    workload, tokens = _generated("Qwen3-0.6B")
    assert tokens.shape == (1, 32 + 8)
    assert torch.equal(tokens[:, :32], workload.keywords["input_ids"])
    assert workload.items == 8


def test_a_generator_is_greedy():
    workload, tokens = _generated("Qwen3-0.6B")
    with torch.no_grad():
        scores = workload.model(tokens).logits
    assert torch.equal(scores[:, 31:-1].argmax(-1), tokens[:, 32:])


def test_a_generator_calls_the_network_that_the_lane_has_prepared(monkeypatch):
    calls = []

    def compile(network, backend):
        def compiled(**keywords):
            calls.append(keywords["input_ids"].shape[1])
            return network(**keywords)

        return compiled

    monkeypatch.setattr(torch, "compile", compile)
    workload, request = build("Llama-3.2-1B", "eval", suite="huggingface")
    prepared = MODES["inductor"].prepare(workload, request)
    tokens = step_of(prepared, request)(CpuClock())
    assert calls == [32, *[1] * 7]
    assert torch.equal(tokens, step_of(workload, request)(CpuClock()))
