"""Sound: separated into its sources, recognised as speech, and told by whom it is spoken."""

from __future__ import annotations

from harness.benchmark import Request, Workload, benchmark


@benchmark(
    "demucs",
    category="OTHER",
    domain="OTHER_TASKS",
    # The lengths less the shift are such that every strided convolution comes out even.
    sizes={
        "small": {"batch": 1, "iterations": 1, "channels": 16, "depth": 4, "sources": 4, "time": 6_716, "shift": 1_000},
        "v1": {"batch": 4, "iterations": 1, "channels": 32, "depth": 6, "sources": 4, "time": 135_576, "shift": 44_100},
        "current": {
            "batch": 8,
            "train_batch": 64,
            "iterations": 1,
            "channels": 32,
            "depth": 6,
            "sources": 4,
            "time": 135_576,
            "shift": 44_100,
        },
    },
    parameters={"small": 1_041_064, "v1": 66_443_592, "current": 66_443_592},
)
def demucs(request: Request) -> Workload:
    """Demucs, convolutions around a bidirectional LSTM from waveform to waveforms; Adam and L1."""
    from harness.suites.torchbench.networks import demucs

    return demucs.separator(request)


@benchmark(
    "speech_transformer",
    category="SPEECH",
    domain="RECOGNITION",
    sizes={
        "small": {
            "batch": 1,
            "train_batch": 2,
            "iterations": 1,
            "features": 80,
            "frames": 32,
            "train_frames": 48,
            "characters": 6,
            "train_characters": 12,
            "beams": 3,
            "vocabulary": 256,
            "width": 128,
            "layers": 2,
            "heads": 4,
            "hidden": 512,
        },
        # V1's transcripts are not known; thirty characters are about as many as Mandarin has for such utterances.
        **{
            size: {
                "batch": 1,
                "train_batch": train_batch,
                "iterations": 1,
                "features": 320,
                "frames": 97,
                "train_frames": 204,
                "characters": 100,
                "train_characters": 30,
                "beams": 5,
                "vocabulary": 1014,
                "width": 512,
                "layers": 6,
                "heads": 8,
                "hidden": 2048,
            }
            for size, train_batch in (("v1", 10), ("current", 32))
        },
    },
    parameters={"small": 969_088, "v1": 44_823_040, "current": 44_823_040},
)
def speech_transformer(request: Request) -> Workload:
    """Transformer from frames of speech to characters, evaluated by beam search; Adam and smoothed cross entropy."""
    from harness.suites.torchbench.networks import speech_transformer

    return speech_transformer.recogniser(request)


@benchmark(
    "tts_angular",
    category="SPEECH",
    domain="SYNTHESIS",
    sizes={
        size: {
            "batch": batch,
            "iterations": 1,
            "frames": frames,
            "features": 40,
            "hidden": hidden,
            "width": width,
            "layers": 3,
            "utterances": utterances,
        }
        for size, batch, frames, hidden, width, utterances in (
            ("small", 8, 16, 192, 64, 4),
            ("v1", 64, 50, 768, 256, 8),
            ("current", 64, 50, 768, 256, 8),
        )
    },
    # Of the encoder; training has two more, of the loss.
    parameters={"small": 612_864, "v1": 9_381_888, "current": 9_381_888},
)
def tts_angular(request: Request) -> Workload:
    """Speaker encoder, three projected LSTMs; RAdam and the angular prototypical loss."""
    from harness.suites.torchbench.networks import tts_angular

    return tts_angular.speaker_encoder(request)
