"""The configurations of the suite `huggingface`, as data: whole, and shrunk for the size `small`.

Numbers have the names of transformers' configurations. What is not written here (activations, special tokens) is the
configuration class's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """A family of networks of transformers: its module, its configuration class, and the numbers of a configuration.

    `small` are the numbers that differ when it is shrunk.
    """

    module: str
    configuration: str
    numbers: Mapping[str, Any]
    small: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> tuple[str, ...]:
        """The modules that a nursery preloads."""
        return (f"transformers.models.{self.module}.modeling_{self.module}",)


_ENCODER = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
_SMALL_ENCODER = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
}
_BART = {
    "vocab_size": 50265,
    "d_model": 1024,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "max_position_embeddings": 1024,
}
_SMALL_BART = {
    "vocab_size": 4096,
    "d_model": 256,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 1024,
    "decoder_ffn_dim": 1024,
}
_SMALL_GPT = {"vocab_size": 4096, "n_embd": 256, "n_layer": 2, "n_head": 4, "bos_token_id": 0, "eos_token_id": 0}
_SMALL_DECODER = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
}

ALBERT = Architecture(
    "albert",
    "AlbertConfig",
    {**_ENCODER, "vocab_size": 30000, "embedding_size": 128, "hidden_size": 4096}
    | {"num_attention_heads": 64, "intermediate_size": 16384},
    {**_SMALL_ENCODER, "embedding_size": 64, "hidden_size": 512, "intermediate_size": 2048},
)
"""albert-xxlarge-v2, the default."""
BART = Architecture("bart", "BartConfig", _BART, _SMALL_BART)
"""bart-large, the default."""
BERT = Architecture("bert", "BertConfig", _ENCODER, _SMALL_ENCODER)
"""bert-base-uncased, the default."""
BIG_BIRD = Architecture(
    "big_bird",
    "BigBirdConfig",
    {**_ENCODER, "vocab_size": 50358, "max_position_embeddings": 4096, "block_size": 64, "num_random_blocks": 3},
    # Below (5 + 2 * random blocks) * block size tokens it would attend to everything.
    {**_SMALL_ENCODER, "block_size": 8},
)
"""bigbird-roberta-base, the default."""
BLENDERBOT = Architecture(
    "blenderbot",
    "BlenderbotConfig",
    {
        **_BART,
        "vocab_size": 8008,
        "d_model": 2560,
        "encoder_layers": 2,
        "decoder_layers": 24,
        "encoder_attention_heads": 32,
        "decoder_attention_heads": 32,
        "encoder_ffn_dim": 10240,
        "decoder_ffn_dim": 10240,
        "max_position_embeddings": 128,
    },
    {**_SMALL_BART, "encoder_layers": 1},
)
"""blenderbot-3B, the default."""
BLENDERBOT_SMALL = Architecture(
    "blenderbot_small",
    "BlenderbotSmallConfig",
    {
        **_BART,
        "d_model": 512,
        "encoder_layers": 8,
        "decoder_layers": 8,
        "encoder_ffn_dim": 2048,
        "decoder_ffn_dim": 2048,
        "max_position_embeddings": 512,
    },
    _SMALL_BART,
)
"""blenderbot_small-90M, the default."""
CAMEMBERT = Architecture(
    "camembert",
    "CamembertConfig",
    # Positions are counted from behind the padding's, which is 1.
    {**_ENCODER, "vocab_size": 32005, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    _SMALL_ENCODER,
)
"""camembert-base."""
CONVBERT = Architecture(
    "convbert",
    "ConvBertConfig",
    {**_ENCODER, "embedding_size": 768, "head_ratio": 2, "conv_kernel_size": 9, "pad_token_id": 0},
    {**_SMALL_ENCODER, "embedding_size": 256},
)
"""YituTech/conv-bert-base."""
DEBERTA = Architecture(
    "deberta",
    "DebertaConfig",
    {**_ENCODER, "vocab_size": 50265, "type_vocab_size": 0},
    _SMALL_ENCODER,
)
"""deberta-base but without relative attention, the default."""
DEBERTA_V2 = Architecture(
    "deberta_v2",
    "DebertaV2Config",
    {
        **_ENCODER,
        "vocab_size": 128100,
        "hidden_size": 1536,
        "num_hidden_layers": 24,
        "num_attention_heads": 24,
        "intermediate_size": 6144,
        "type_vocab_size": 0,
    },
    _SMALL_ENCODER,
)
"""deberta-v2-xlarge but without relative attention, the default."""
DISTILBERT = Architecture(
    "distilbert",
    "DistilBertConfig",
    {
        "vocab_size": 30522,
        "dim": 768,
        "n_layers": 6,
        "n_heads": 12,
        "hidden_dim": 3072,
        "max_position_embeddings": 512,
    },
    {"vocab_size": 4096, "dim": 256, "n_layers": 2, "n_heads": 4, "hidden_dim": 1024},
)
"""distilbert-base-uncased, the default."""
ELECTRA = Architecture(
    "electra",
    "ElectraConfig",
    {**_ENCODER, "embedding_size": 128, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024},
    {"vocab_size": 4096, "num_hidden_layers": 3},
)
"""electra-small-discriminator, the default."""
FNET = Architecture(
    "fnet",
    "FNetConfig",
    {
        "vocab_size": 32000,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "type_vocab_size": 4,
    },
    {"vocab_size": 4096, "hidden_size": 256, "num_hidden_layers": 3, "intermediate_size": 1024},
)
"""google/fnet-base, the default."""
GEMMA_2 = Architecture(
    "gemma2",
    "Gemma2Config",
    {
        "vocab_size": 256000,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 8192,
        "sliding_window": 4096,
        "query_pre_attn_scalar": 256,
    },
    {**_SMALL_DECODER, "sliding_window": 32, "query_pre_attn_scalar": 64},
)
"""google/gemma-2-2b, the default."""
GEMMA_3 = Architecture(
    "gemma3",
    "Gemma3Config",
    {
        "text_config": {
            "vocab_size": 262208,
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "num_hidden_layers": 34,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "max_position_embeddings": 131072,
            "sliding_window": 1024,
            "query_pre_attn_scalar": 256,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
            },
        },
        "vision_config": {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "image_size": 896,
            "patch_size": 14,
            "vision_use_head": False,
        },
    },
    {
        # Six layers, of which the last attends to everything.
        "text_config": {**_SMALL_DECODER, "num_hidden_layers": 6, "sliding_window": 32, "query_pre_attn_scalar": 64},
        "vision_config": {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 896,
            "patch_size": 14,
            "vision_use_head": False,
        },
    },
)
"""google/gemma-3-4b-it, with its tower for images, which a prompt of text does not use."""
GPT_2 = Architecture(
    "gpt2",
    "GPT2Config",
    {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024},
    _SMALL_GPT,
)
"""gpt2, the default."""
GPT_J = Architecture(
    "gptj",
    "GPTJConfig",
    {"vocab_size": 50400, "n_embd": 4096, "n_layer": 28, "n_head": 16, "n_positions": 2048, "rotary_dim": 64},
    {**_SMALL_GPT, "rotary_dim": 32},
)
"""gpt-j-6B, the default."""
GPT_NEO = Architecture(
    "gpt_neo",
    "GPTNeoConfig",
    {
        "vocab_size": 50257,
        "hidden_size": 2048,
        "num_layers": 24,
        "num_heads": 16,
        "max_position_embeddings": 2048,
        "attention_types": [[["global", "local"], 12]],
        "window_size": 256,
    },
    {
        "vocab_size": 4096,
        "hidden_size": 256,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 32,
        "bos_token_id": 0,
        "eos_token_id": 0,
    },
)
"""gpt-neo-1.3B, the default."""
GPT_OSS = Architecture(
    "gpt_oss",
    "GptOssConfig",
    {
        "vocab_size": 201088,
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "num_hidden_layers": 24,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "num_local_experts": 32,
        "num_experts_per_tok": 4,
        "sliding_window": 128,
    },
    {**_SMALL_DECODER, "num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": 32},
)
"""openai/gpt-oss-20b."""
LAYOUTLM = Architecture(
    "layoutlm",
    "LayoutLMConfig",
    {**_ENCODER, "max_2d_position_embeddings": 1024},
    _SMALL_ENCODER,
)
"""layoutlm-base-uncased, the default."""
LLAMA = Architecture(
    "llama",
    "LlamaConfig",
    {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    _SMALL_DECODER,
)
"""meta-llama/Llama-3.2-1B."""
LONGFORMER = Architecture(
    "longformer",
    "LongformerConfig",
    {
        **_ENCODER,
        "vocab_size": 50265,
        # Two more than tokens: they are counted from behind the padding's, which is 1.
        "max_position_embeddings": 4098,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "attention_window": 512,
    },
    {**_SMALL_ENCODER, "max_position_embeddings": 258, "attention_window": 32},
)
"""allenai/longformer-base-4096."""
M2M_100 = Architecture("m2m_100", "M2M100Config", {**_BART, "vocab_size": 128112}, _SMALL_BART)
"""m2m100_418M, the default."""
MBART = Architecture("mbart", "MBartConfig", _BART, _SMALL_BART)
"""mbart-large-cc25 with BART's vocabulary, the default."""
MEGATRON_BERT = Architecture(
    "megatron_bert",
    "MegatronBertConfig",
    {
        **_ENCODER,
        "vocab_size": 29056,
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
    _SMALL_ENCODER,
)
"""megatron-bert-uncased-345m, the default."""
MISTRAL = Architecture(
    "mistral",
    "MistralConfig",
    {
        "vocab_size": 32768,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-5,
        "sliding_window": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
    },
    _SMALL_DECODER,
)
"""mistralai/Mistral-7B-Instruct-v0.3."""
MOBILEBERT = Architecture(
    "mobilebert",
    "MobileBertConfig",
    {
        **_ENCODER,
        "hidden_size": 512,
        "num_hidden_layers": 24,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "embedding_size": 128,
        "intra_bottleneck_size": 128,
    },
    {"vocab_size": 4096, "num_hidden_layers": 4},
)
"""mobilebert-uncased, the default."""
MT5 = Architecture(
    "mt5",
    "MT5Config",
    {
        "vocab_size": 250112,
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 1024,
        "num_layers": 8,
        "num_decoder_layers": 8,
        "num_heads": 6,
    },
    {"vocab_size": 4096, "d_model": 256, "d_ff": 512, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4},
)
"""mt5-small, the default."""
OPT = Architecture(
    "opt",
    "OPTConfig",
    {
        "vocab_size": 50272,
        "hidden_size": 768,
        "word_embed_proj_dim": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "ffn_dim": 3072,
        "max_position_embeddings": 2048,
    },
    {
        "vocab_size": 4096,
        "hidden_size": 256,
        "word_embed_proj_dim": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 1024,
    },
)
"""opt-125m, the default."""
PEGASUS = Architecture("pegasus", "PegasusConfig", _BART, _SMALL_BART)
"""The default, as wide as bart-large and shallower than pegasus-large."""
PLBART = Architecture(
    "plbart",
    "PLBartConfig",
    {
        **_BART,
        "vocab_size": 50005,
        "d_model": 768,
        "encoder_layers": 6,
        "decoder_layers": 6,
        "encoder_attention_heads": 12,
        "decoder_attention_heads": 12,
        "encoder_ffn_dim": 3072,
        "decoder_ffn_dim": 3072,
    },
    _SMALL_BART,
)
"""plbart-base, the default."""
QWEN_3 = Architecture(
    "qwen3",
    "Qwen3Config",
    {
        "vocab_size": 151936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
    },
    _SMALL_DECODER,
)
"""Qwen/Qwen3-0.6B."""
REFORMER = Architecture(
    "reformer",
    "ReformerConfig",
    {
        "vocab_size": 320,
        "hidden_size": 256,
        "attn_layers": ["local", "lsh", "local", "lsh", "local", "lsh"],
        "num_attention_heads": 12,
        "attention_head_size": 64,
        "feed_forward_size": 512,
        "max_position_embeddings": 4096,
        "local_attn_chunk_length": 64,
        "lsh_attn_chunk_length": 64,
        # What the network comes to by itself from a sentence of 4096 tokens.
        "num_buckets": 128,
        "axial_pos_shape": [64, 64],
        "axial_pos_embds_dim": [64, 192],
    },
    # Sentences must be longer than a chunk, or they would be attended to whole, and as long as the axial shape.
    {
        "hidden_size": 64,
        "attn_layers": ["local", "lsh"],
        "num_attention_heads": 4,
        "attention_head_size": 16,
        "feed_forward_size": 128,
        "max_position_embeddings": 256,
        "local_attn_chunk_length": 16,
        "lsh_attn_chunk_length": 16,
        "num_buckets": 32,
        "axial_pos_shape": [16, 16],
        "axial_pos_embds_dim": [16, 48],
    },
)
"""The default, of the size of reformer-crime-and-punishment."""
ROBERTA = Architecture(
    "roberta",
    "RobertaConfig",
    # BERT's 512 positions are one too few for 512 tokens, unless all of them are the padding, 0.
    {**_ENCODER, "vocab_size": 50265, "pad_token_id": 0},
    _SMALL_ENCODER,
)
"""roberta-base but with BERT's positions and two types of token, the default."""
SPEECH_TO_TEXT_2 = Architecture(
    "speech_to_text_2",
    "Speech2Text2Config",
    {
        "vocab_size": 10000,
        "d_model": 256,
        "decoder_layers": 6,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 2048,
        "max_target_positions": 1024,
    },
)
"""The default of when transformers still had it."""
T5 = Architecture(
    "t5",
    "T5Config",
    {
        "vocab_size": 32128,
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 6,
        "num_decoder_layers": 6,
        "num_heads": 8,
    },
    {"vocab_size": 4096, "d_model": 256, "d_ff": 1024, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4},
)
"""t5-small, the default."""
TROCR = Architecture(
    "trocr",
    "TrOCRConfig",
    {
        "vocab_size": 50265,
        "d_model": 1024,
        "decoder_layers": 12,
        "decoder_attention_heads": 16,
        "decoder_ffn_dim": 4096,
        "max_position_embeddings": 512,
    },
    {
        "vocab_size": 4096,
        "d_model": 256,
        "decoder_layers": 2,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 1024,
    },
)
"""trocr-base, its decoder, the default."""
WHISPER = Architecture(
    "whisper",
    "WhisperConfig",
    {
        "vocab_size": 51865,
        "num_mel_bins": 80,
        "d_model": 384,
        "encoder_layers": 4,
        "decoder_layers": 4,
        "encoder_attention_heads": 6,
        "decoder_attention_heads": 6,
        "encoder_ffn_dim": 1536,
        "decoder_ffn_dim": 1536,
        # Of two spectra each: 30 seconds of sound.
        "max_source_positions": 1500,
        "max_target_positions": 448,
    },
    {"encoder_layers": 2, "decoder_layers": 2, "max_source_positions": 100},
)
"""openai/whisper-tiny, the default."""
XGLM = Architecture(
    "xglm",
    "XGLMConfig",
    {
        "vocab_size": 256008,
        "d_model": 1024,
        "num_layers": 24,
        "attention_heads": 16,
        "ffn_dim": 4096,
        "max_position_embeddings": 2048,
    },
    {"vocab_size": 4096, "d_model": 256, "num_layers": 2, "attention_heads": 4, "ffn_dim": 1024},
)
"""xglm-564M, the default."""
XLNET = Architecture(
    "xlnet",
    "XLNetConfig",
    {"vocab_size": 32000, "d_model": 1024, "n_layer": 24, "n_head": 16, "d_inner": 4096},
    {"vocab_size": 4096, "d_model": 256, "n_layer": 2, "n_head": 4, "d_inner": 1024},
)
"""xlnet-large-cased, the default."""
