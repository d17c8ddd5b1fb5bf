"""The models of the suite `huggingface`, as data: a row of `MODELS` or `GENERATORS` is a benchmark.

The loops at the end register them. Keys of a size beyond `batch`, `sequence`, `tokens` (token ids are below it, or
within the vocabulary) and `new_tokens` are numbers of the configuration, by the names that transformers gives them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.benchmark import Build, Request, Workload, benchmark
from harness.suites.huggingface.architectures import (
    ALBERT,
    BART,
    BERT,
    BIG_BIRD,
    BLENDERBOT,
    BLENDERBOT_SMALL,
    CAMEMBERT,
    CONVBERT,
    DEBERTA,
    DEBERTA_V2,
    DISTILBERT,
    ELECTRA,
    FNET,
    GEMMA_2,
    GEMMA_3,
    GPT_2,
    GPT_J,
    GPT_NEO,
    GPT_OSS,
    LAYOUTLM,
    LLAMA,
    LONGFORMER,
    M2M_100,
    MBART,
    MEGATRON_BERT,
    MISTRAL,
    MOBILEBERT,
    MT5,
    OPT,
    PEGASUS,
    PLBART,
    QWEN_3,
    REFORMER,
    ROBERTA,
    SPEECH_TO_TEXT_2,
    T5,
    TROCR,
    WHISPER,
    XGLM,
    XLNET,
    Architecture,
)

_NO_JIT = {"jit": "torch.jit.trace cannot return the dictionary that transformers models return"}


@dataclass(frozen=True)
class Model:
    """What tells one model from the others.

    `name` is the network's class, `sequence` the tokens of a text and `small_sequence` those in the small size,
    `parameters` the two counts, None where it cannot be built. `current` is the batch size that the list of today comes
    to, `list_2025` and `earlier` those of the lists before, `cpu` that of the file for CPUs; None where it is not
    there. `numbers` are what the architecture does not say or says otherwise, `small` the same for the small size. The
    rest is as in `networks.language_model`.
    """

    summary: str
    architecture: Architecture
    name: str
    sequence: int
    parameters: tuple[int, int] | None
    current: int | None = None
    list_2025: int | None = None
    earlier: int | None = None
    cpu: int | None = None
    small_sequence: int = 64
    numbers: Mapping[str, Any] = field(default_factory=dict)
    small: Mapping[str, Any] = field(default_factory=dict)
    task: str = "tokens"
    echoes: bool = False
    descends: bool = False
    reckons: bool = False
    nondeterministic: str = ""
    unsupported: Mapping[str, str] = field(default_factory=dict)

    @property
    def lists(self) -> tuple[str, ...]:
        """The published lists that hold the model."""
        entries = {"current": self.current, "2025": self.list_2025, "earlier": self.earlier}
        return tuple(name for name, batch in entries.items() if batch is not None)

    def sizes(self) -> dict[str, dict[str, Any]]:
        """The sizes; `current` of a model that today's list has no more is that of the last list with it."""
        whole = {"sequence": self.sequence, **self.architecture.numbers, **self.numbers}
        shrunk = {**whole, "sequence": self.small_sequence, **self.architecture.small, **self.small}
        sizes = {
            "small": {"batch": 2, **shrunk},
            "current": {"batch": self.current or self.list_2025 or self.earlier, **whole},
        }
        if self.cpu is not None:
            sizes["cpu"] = {"batch": self.cpu, **whole}
        return sizes

    def counts(self) -> dict[str, int]:
        """The number of parameters by size."""
        if self.parameters is None:
            return {}
        whole, small = self.parameters
        return {**dict.fromkeys(self.sizes(), whole), "small": small}


@dataclass(frozen=True)
class Generator:
    """A model that generates, on both lists, with one text at a time.

    `sequence` is the length of the prompt, None for a model that listens; the rest is as in `Model`.
    """

    summary: str
    architecture: Architecture
    name: str
    parameters: tuple[int, int]
    sequence: int | None = 1000
    new_tokens: int = 2000

    def sizes(self) -> dict[str, dict[str, Any]]:
        """The sizes."""
        prompt, small_prompt = ({}, {}) if self.sequence is None else ({"sequence": self.sequence}, {"sequence": 32})
        return {
            "small": {
                "batch": 1,
                **small_prompt,
                "new_tokens": 8,
                **self.architecture.numbers,
                **self.architecture.small,
            },
            "current": {"batch": 1, **prompt, "new_tokens": self.new_tokens, **self.architecture.numbers},
        }


MODELS: dict[str, Model] = {
    "AlbertForMaskedLM": Model(
        "ALBERT xxlarge, one layer of width 4096 used twelve times, that fills in masked tokens.",
        ALBERT,
        "AlbertForMaskedLM",
        sequence=512,
        parameters=(206_368_944, 3_517_888),
        current=4,
        list_2025=8,
        cpu=4,
        descends=True,
    ),
    "AllenaiLongformerBase": Model(
        "Longformer base, attention within a sliding window, that fills in masked tokens.",
        LONGFORMER,
        "LongformerForMaskedLM",
        sequence=1024,
        parameters=(148_711_257, 3_160_064),
        current=4,
        list_2025=8,
        cpu=4,
        small_sequence=128,
    ),
    "BartForCausalLM": Model(
        "BART large, that predicts the next token.",
        BART,
        "BartForCausalLM",
        sequence=1024,
        parameters=(254_084_096, 3_418_624),
        current=4,
        list_2025=8,
        cpu=4,
        descends=True,
    ),
    "BertForMaskedLM": Model(
        "BERT base, that fills in masked tokens.",
        BERT,
        "BertForMaskedLM",
        sequence=512,
        parameters=(109_514_298, 2_830_592),
        current=16,
        list_2025=32,
        cpu=16,
    ),
    "BlenderbotForCausalLM": Model(
        "Blenderbot 3B, that predicts the next token.",
        BLENDERBOT,
        "BlenderbotForCausalLM",
        sequence=128,
        parameters=(2_538_583_040, 3_188_736),
        current=4,
        list_2025=32,
        cpu=32,
    ),
    "BlenderbotForConditionalGeneration": Model(
        "Blenderbot 3B, encoder and decoder.",
        BLENDERBOT,
        "BlenderbotForConditionalGeneration",
        sequence=128,
        parameters=(2_696_268_800, 4_011_776),
        current=16,
        list_2025=16,
        echoes=True,
    ),
    "DebertaV2ForMaskedLM": Model(
        "DeBERTa V2 xlarge, that fills in masked tokens.",
        DEBERTA_V2,
        "DebertaV2ForMaskedLM",
        sequence=512,
        parameters=(879_999_588, 2_830_080),
        current=2,
        list_2025=8,
        cpu=16,
    ),
    "DistilBertForMaskedLM": Model(
        "DistilBERT, six layers of BERT, that fills in masked tokens.",
        DISTILBERT,
        "DistilBertForMaskedLM",
        sequence=128,
        parameters=(66_985_530, 2_830_080),
        current=128,
        list_2025=256,
        cpu=128,
    ),
    "DistillGPT2": Model(
        "DistilGPT-2, six layers of GPT-2, that predicts the next token.",
        GPT_2,
        "GPT2LMHeadModel",
        sequence=512,
        parameters=(81_912_576, 2_890_752),
        current=16,
        list_2025=32,
        cpu=16,
        numbers={"n_layer": 6},
        small={"n_layer": 2},
    ),
    "ElectraForCausalLM": Model(
        "ELECTRA small, that predicts the next token.",
        ELECTRA,
        "ElectraForCausalLM",
        sequence=512,
        parameters=(13_546_682, 3_029_888),
        current=32,
        list_2025=64,
        cpu=8,
        descends=True,
    ),
    "GPT2ForSequenceClassification": Model(
        "GPT-2, that sorts texts.",
        GPT_2,
        "GPT2ForSequenceClassification",
        sequence=1024,
        parameters=(124_441_344, 2_891_264),
        current=4,
        list_2025=8,
        cpu=4,
        task="classes",
        numbers={"pad_token_id": 0},
    ),
    "GPTJForCausalLM": Model(
        "GPT-J of 6 billion parameters, that predicts the next token.",
        GPT_J,
        "GPTJForCausalLM",
        sequence=128,
        parameters=(6_050_882_784, 3_678_208),
        current=1,
        list_2025=1,
    ),
    "GPTJForQuestionAnswering": Model(
        "GPT-J of 6 billion parameters, for finding an answer's place.",
        GPT_J,
        "GPTJForQuestionAnswering",
        sequence=128,
        parameters=(5_844_402_178, 2_626_050),
        current=1,
        list_2025=1,
        task="answers",
    ),
    "GPTNeoForCausalLM": Model(
        "GPT-Neo 1.3B, attention global and local in turn, that predicts the next token.",
        GPT_NEO,
        "GPTNeoForCausalLM",
        sequence=128,
        parameters=(1_315_575_808, 3_151_360),
        current=32,
        list_2025=32,
    ),
    "GPTNeoForSequenceClassification": Model(
        "GPT-Neo 1.3B, attention global and local in turn, that sorts texts.",
        GPT_NEO,
        "GPTNeoForSequenceClassification",
        sequence=128,
        parameters=(1_315_579_904, 3_151_872),
        current=32,
        list_2025=32,
        task="classes",
        numbers={"pad_token_id": 0},
    ),
    "GoogleFnet": Model(
        "FNet base, Fourier transforms in place of attention, that fills in masked tokens.",
        FNET,
        "FNetForMaskedLM",
        sequence=512,
        parameters=(83_485_184, 2_962_944),
        current=16,
        list_2025=32,
        cpu=16,
    ),
    "LayoutLMForMaskedLM": Model(
        "LayoutLM base, BERT that knows where on a page words are, that fills in masked tokens.",
        LAYOUTLM,
        "LayoutLMForMaskedLM",
        sequence=512,
        parameters=(113_250_618, 3_944_960),
        current=16,
        list_2025=32,
        cpu=16,
    ),
    "M2M100ForConditionalGeneration": Model(
        "M2M100 418M, which translates between 100 languages, encoder and decoder.",
        M2M_100,
        "M2M100ForConditionalGeneration",
        sequence=128,
        parameters=(483_905_536, 4_736_000),
        current=16,
        list_2025=64,
        cpu=16,
        echoes=True,
        descends=True,
    ),
    "MBartForCausalLM": Model(
        "mBART large, BART with the norms first, that predicts the next token.",
        MBART,
        "MBartForCausalLM",
        sequence=1024,
        parameters=(254_086_144, 3_419_136),
        current=4,
        list_2025=8,
        cpu=4,
        descends=True,
    ),
    "MT5ForConditionalGeneration": Model(
        "mT5 small, T5 with gates and a large vocabulary, encoder and decoder.",
        MT5,
        "MT5ForConditionalGeneration",
        sequence=128,
        parameters=(172_119_424, 4_197_632),
        current=16,
        list_2025=32,
        cpu=16,
        echoes=True,
    ),
    "MegatronBertForCausalLM": Model(
        "Megatron BERT of 24 layers of width 1024, that predicts the next token.",
        MEGATRON_BERT,
        "MegatronBertForCausalLM",
        sequence=512,
        parameters=(333_671_808, 2_830_592),
        current=4,
        list_2025=16,
        cpu=4,
    ),
    "MobileBertForMaskedLM": Model(
        "MobileBERT, 24 thin layers with bottlenecks, that fills in masked tokens.",
        MOBILEBERT,
        "MobileBertForMaskedLM",
        sequence=128,
        parameters=(36_596_538, 6_195_200),
        current=128,
        list_2025=256,
        cpu=64,
    ),
    "OPTForCausalLM": Model(
        "OPT 125M, that predicts the next token.",
        OPT,
        "OPTForCausalLM",
        sequence=2048,
        parameters=(125_239_296, 3_153_408),
        current=2,
        list_2025=4,
        cpu=2,
        descends=True,
    ),
    "PLBartForCausalLM": Model(
        "PLBART base, BART for program code, that predicts the next token.",
        PLBART,
        "PLBartForCausalLM",
        sequence=1024,
        parameters=(95_904_000, 3_418_624),
        current=8,
        list_2025=16,
        cpu=8,
        descends=True,
    ),
    "PegasusForCausalLM": Model(
        "Pegasus of 12 layers, that predicts the next token.",
        PEGASUS,
        "PegasusForCausalLM",
        sequence=128,
        parameters=(254_082_048, 3_418_112),
        current=32,
        list_2025=128,
        cpu=32,
        descends=True,
    ),
    "RobertaForCausalLM": Model(
        "RoBERTa base, that predicts the next token.",
        ROBERTA,
        "RobertaForCausalLM",
        sequence=512,
        parameters=(124_696_665, 2_830_592),
        current=16,
        list_2025=32,
        cpu=16,
        numbers={"tokens": 1},
    ),
    "T5ForConditionalGeneration": Model(
        "T5 small with relative positions, encoder and decoder.",
        T5,
        "T5ForConditionalGeneration",
        sequence=1024,
        parameters=(60_506_624, 4_721_920),
        current=4,
        list_2025=8,
        cpu=4,
        echoes=True,
    ),
    "T5Small": Model(
        "T5 small with relative positions, encoder and decoder.",
        T5,
        "T5ForConditionalGeneration",
        sequence=1024,
        parameters=(60_506_624, 4_721_920),
        current=4,
        list_2025=8,
        cpu=1,
        echoes=True,
    ),
    "TrOCRForCausalLM": Model(
        "The decoder of TrOCR base, that predicts the next token.",
        TROCR,
        "TrOCRForCausalLM",
        sequence=256,
        parameters=(253_559_808, 3_287_552),
        current=32,
        list_2025=64,
        cpu=32,
        descends=True,
    ),
    "XGLMForCausalLM": Model(
        "XGLM 564M, for many languages, that predicts the next token.",
        XGLM,
        "XGLMForCausalLM",
        sequence=128,
        parameters=(564_463_616, 2_628_608),
        current=8,
        list_2025=32,
        cpu=8,
        descends=True,
    ),
    "XLNetLMHeadModel": Model(
        "XLNet large, two streams of relative positions, that predicts tokens.",
        XLNET,
        "XLNetLMHeadModel",
        sequence=512,
        parameters=(360_300_800, 2_764_032),
        current=8,
        list_2025=16,
        cpu=8,
    ),
    "YituTechConvBert": Model(
        "ConvBERT base, half of the heads are dynamic convolutions, that fills in masked tokens.",
        CONVBERT,
        "ConvBertForMaskedLM",
        sequence=512,
        parameters=(106_303_170, 2_774_052),
        current=16,
        list_2025=32,
        cpu=16,
    ),
    "Reformer": Model(
        "Reformer, reversible layers, local and hashed attention in turn, that fills in masked tokens.",
        REFORMER,
        "ReformerForMaskedLM",
        sequence=4096,
        parameters=(5_975_872, 125_376),
        current=64,
        earlier=64,
        small_sequence=256,
        reckons=True,
        nondeterministic="transformers seeds every layer of a train step anew from the system's own randomness",
    ),
    "AlbertForQuestionAnswering": Model(
        "ALBERT xxlarge, one layer of width 4096 used twelve times, for finding an answer's place.",
        ALBERT,
        "AlbertForQuestionAnswering",
        sequence=512,
        parameters=(205_822_466, 3_481_858),
        list_2025=8,
        task="answers",
    ),
    "BartForConditionalGeneration": Model(
        "BART large, encoder and decoder.",
        BART,
        "BartForConditionalGeneration",
        sequence=1024,
        parameters=(406_291_456, 5_261_312),
        list_2025=4,
        descends=True,
    ),
    "BertForQuestionAnswering": Model(
        "BERT base, for finding an answer's place.",
        BERT,
        "BertForQuestionAnswering",
        sequence=512,
        parameters=(108_893_186, 2_760_706),
        list_2025=32,
        task="answers",
    ),
    "BlenderbotSmallForCausalLM": Model(
        "Small Blenderbot of 8 layers, that predicts the next token.",
        BLENDERBOT_SMALL,
        "BlenderbotSmallForCausalLM",
        sequence=128,
        parameters=(59_631_104, 3_287_040),
        list_2025=256,
        descends=True,
    ),
    "BlenderbotSmallForConditionalGeneration": Model(
        "Small Blenderbot of 8 layers, encoder and decoder.",
        BLENDERBOT_SMALL,
        "BlenderbotSmallForConditionalGeneration",
        sequence=128,
        parameters=(85_113_344, 4_998_144),
        list_2025=128,
        echoes=True,
        descends=True,
    ),
    "CamemBert": Model(
        "CamemBERT base, a French RoBERTa, that fills in masked tokens.",
        CAMEMBERT,
        "CamembertForMaskedLM",
        sequence=512,
        parameters=(110_655_493, 2_830_848),
        list_2025=32,
    ),
    "DebertaV2ForQuestionAnswering": Model(
        "DeBERTa V2 xlarge, for finding an answer's place.",
        DEBERTA_V2,
        "DebertaV2ForQuestionAnswering",
        sequence=512,
        parameters=(877_510_658, 2_760_194),
        list_2025=8,
        task="answers",
        descends=True,
    ),
    "DistilBertForQuestionAnswering": Model(
        "DistilBERT, six layers of BERT, for finding an answer's place.",
        DISTILBERT,
        "DistilBertForQuestionAnswering",
        sequence=128,
        parameters=(66_364_418, 2_760_194),
        list_2025=512,
        task="answers",
    ),
    "ElectraForQuestionAnswering": Model(
        "ELECTRA small, for finding an answer's place.",
        ELECTRA,
        "ElectraForQuestionAnswering",
        sequence=512,
        parameters=(13_483_522, 2_993_154),
        list_2025=128,
        task="answers",
    ),
    "LayoutLMForSequenceClassification": Model(
        "LayoutLM base, BERT that knows where on a page words are, that sorts texts.",
        LAYOUTLM,
        "LayoutLMForSequenceClassification",
        sequence=512,
        parameters=(112_629_506, 3_875_074),
        list_2025=32,
        task="classes",
    ),
    "MBartForConditionalGeneration": Model(
        "mBART large, BART with the norms first, encoder and decoder.",
        MBART,
        "MBartForConditionalGeneration",
        sequence=1024,
        parameters=(406_295_552, 5_262_336),
        list_2025=4,
        descends=True,
    ),
    "MegatronBertForQuestionAnswering": Model(
        "Megatron BERT of 24 layers of width 1024, for finding an answer's place.",
        MEGATRON_BERT,
        "MegatronBertForQuestionAnswering",
        sequence=512,
        parameters=(332_593_154, 2_760_706),
        list_2025=16,
        task="answers",
    ),
    "MobileBertForQuestionAnswering": Model(
        "MobileBERT, 24 thin layers with bottlenecks, for finding an answer's place.",
        MOBILEBERT,
        "MobileBertForQuestionAnswering",
        sequence=128,
        parameters=(24_582_914, 4_355_586),
        list_2025=256,
        task="answers",
    ),
    "PLBartForConditionalGeneration": Model(
        "PLBART base, BART for program code, encoder and decoder.",
        PLBART,
        "PLBartForConditionalGeneration",
        sequence=1024,
        parameters=(139_220_736, 5_261_312),
        list_2025=8,
        descends=True,
    ),
    "PegasusForConditionalGeneration": Model(
        "Pegasus of 12 layers, encoder and decoder.",
        PEGASUS,
        "PegasusForConditionalGeneration",
        sequence=128,
        parameters=(406_287_360, 5_260_288),
        list_2025=64,
        echoes=True,
    ),
    "RobertaForQuestionAnswering": Model(
        "RoBERTa base, for finding an answer's place.",
        ROBERTA,
        "RobertaForQuestionAnswering",
        sequence=512,
        parameters=(124_055_810, 2_760_706),
        list_2025=32,
        task="answers",
        numbers={"tokens": 1},
    ),
    "DebertaForMaskedLM": Model(
        "DeBERTa base, that fills in masked tokens.",
        DEBERTA,
        "DebertaForMaskedLM",
        sequence=512,
        parameters=(124_685_913, 2_829_568),
        earlier=32,
    ),
    "DebertaForQuestionAnswering": Model(
        "DeBERTa base, for finding an answer's place.",
        DEBERTA,
        "DebertaForQuestionAnswering",
        sequence=512,
        parameters=(124_045_058, 2_759_682),
        earlier=32,
        task="answers",
    ),
    "Speech2Text2ForCausalLM": Model(
        "The decoder of Speech2Text2, that predicts the next token.",
        SPEECH_TO_TEXT_2,
        "Speech2Text2ForCausalLM",
        sequence=128,
        parameters=None,
        earlier=1024,
        descends=True,
        unsupported=dict.fromkeys(("eval", "train"), "transformers 5 has Speech2Text2 no more"),
    ),
    "BigBird": Model(
        "BigBird base, attention over blocks that are near, global or random, that fills in masked tokens.",
        BIG_BIRD,
        "BigBirdForMaskedLM",
        sequence=1024,
        parameters=(128_111_286, 3_813_888),
        earlier=8,
        cpu=32,
        small_sequence=256,
        reckons=True,
    ),
}

# A benchmark's name holds no slash, so the part before it stands in the summary alone.
GENERATORS: dict[str, Generator] = {
    "Llama-3.2-1B": Generator(
        "meta-llama/Llama-3.2-1B: 16 layers, four queries to a key; generates text token by token.",
        LLAMA,
        "LlamaForCausalLM",
        parameters=(1_235_814_400, 2_229_504),
    ),
    "gemma-2-2b": Generator(
        "google/gemma-2-2b: 26 layers, local and global attention in turn; generates text token by token.",
        GEMMA_2,
        "Gemma2ForCausalLM",
        parameters=(2_614_341_888, 2_230_528),
    ),
    "gemma-3-4b-it": Generator(
        "google/gemma-3-4b-it: 34 layers, a sixth of them global; generates text token by token.",
        GEMMA_3,
        "Gemma3ForConditionalGeneration",
        parameters=(4_300_079_472, 4_944_576),
    ),
    "whisper-tiny": Generator(
        "openai/whisper-tiny: an encoder of spectra and a decoder of text, four layers each; generates token by token.",
        WHISPER,
        "WhisperForConditionalGeneration",
        parameters=(37_760_640, 28_943_232),
        new_tokens=440,
        sequence=None,
    ),
    "Qwen3-0.6B": Generator(
        "Qwen/Qwen3-0.6B: 28 layers, queries and keys normalised; generates text token by token.",
        QWEN_3,
        "Qwen3ForCausalLM",
        parameters=(596_049_920, 2_229_760),
    ),
    "Mistral-7B-Instruct-v0.3": Generator(
        "mistralai/Mistral-7B-Instruct-v0.3: 32 layers, four queries to a key; generates text token by token.",
        MISTRAL,
        "MistralForCausalLM",
        parameters=(7_248_023_552, 3_278_080),
    ),
    "gpt-oss-20b": Generator(
        "openai/gpt-oss-20b: 24 layers of 32 experts, four of which a token sees; generates text token by token.",
        GPT_OSS,
        "GptOssForCausalLM",
        parameters=(20_914_757_184, 8_809_240),
    ),
}


def _language_model(row: Model) -> Build:
    def build(request: Request) -> Workload:
        from harness.suites.huggingface.networks import language_model, network

        return language_model(
            functools.partial(network, row.architecture.module, row.architecture.configuration, row.name),
            request,
            row.task,
            echoes=row.echoes,
            descends=row.descends,
            reckons=row.reckons,
        )

    build.__doc__ = row.summary
    return build


def _generator(row: Generator) -> Build:
    def build(request: Request) -> Workload:
        from harness.suites.huggingface.networks import generator, network

        return generator(
            functools.partial(network, row.architecture.module, row.architecture.configuration, row.name),
            request,
            "input_features" if row.sequence is None else "input_ids",
        )

    build.__doc__ = row.summary
    return build


for _name, _row in MODELS.items():
    benchmark(
        _name,
        category="NLP",
        domain="LANGUAGE_MODELING",
        sizes=_row.sizes(),
        unsupported={**_row.unsupported, **_NO_JIT},
        # What transformers has no more cannot be preloaded.
        needs=() if _row.unsupported else _row.architecture.needs,
        parameters=_row.counts(),
        nondeterministic=_row.nondeterministic,
        lists=_row.lists,
    )(_language_model(_row))
for _name, _generating in GENERATORS.items():
    _listens = _generating.sequence is None
    benchmark(
        _name,
        category="SPEECH" if _listens else "NLP",
        domain="RECOGNITION" if _listens else "LANGUAGE_MODELING",
        sizes=_generating.sizes(),
        types=("eval",),
        unsupported={"train": "the TorchDynamo benchmark only generates text with it", **_NO_JIT},
        needs=_generating.architecture.needs,
        parameters=dict(zip(("current", "small"), _generating.parameters, strict=True)),
        lists=("current", "2025"),
    )(_generator(_generating))
