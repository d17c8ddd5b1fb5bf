import itertools
import math

import pytest

from harness import facts
from harness.benchmark import Request, load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of
from tests.workloads import build

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from harness.suites.torchbench.networks import demucs, speech_transformer, tts_angular  # noqa: E402

SUITE = load("torchbench")


def step(name, type, **more):
    workload, request = build(name, type, **more)
    clock = CpuClock()
    clock.start()
    return step_of(workload, request)(clock), clock


def test_demucs_has_the_layers_that_were_counted_by_hand():
    widths, sounds, parts = [32 * 2**level for level in range(6)], 2, 8
    encoders = sum(8 * n * c + c + 2 * c**2 + 2 * c for n, c in zip([sounds, *widths], widths, strict=False))
    decoders = sum(6 * c**2 + 2 * c + 8 * c * n + n for n, c in zip([parts, *widths], widths, strict=False))
    units = widths[-1]
    lstm = 2 * 4 * units * (units + units + 2) + 2 * 4 * units * (2 * units + units + 2)
    assert SUITE["demucs"].description.parameters["v1"] == encoders + decoders + lstm + 2 * units**2 + units


def test_demucs_gives_four_stereo_sources_that_fit_what_they_are_compared_with():
    (sources, found), _ = step("demucs", "eval")
    assert sources.shape == found.shape
    assert found.shape[:3] == (1, 4, 2)


def test_an_encoder_and_its_decoder_agree_on_the_length_that_v1_takes():
    size = SUITE["demucs"].description.sizes["v1"]
    length = size["time"] - size["shift"]
    assert length == 91_476
    for _ in range(size["depth"]):
        assert (length - demucs.KERNEL) % demucs.STRIDE == 0
        length = (length - demucs.KERNEL) // demucs.STRIDE + 1


def test_the_middle_is_as_far_from_both_ends():
    assert demucs.middle(torch.arange(10), 4).tolist() == [3, 4, 5, 6]


def test_augmentation_moves_swaps_turns_and_remixes_but_loses_nothing():
    torch.manual_seed(0)
    augmentation = demucs.Augmentation(shift=3).train()
    batch = 4
    # Every sample says where it is from: item, source, side and moment.
    grid = torch.meshgrid(torch.arange(1, batch + 1), *(torch.arange(n) for n in (2, 2, 8)), indexing="ij")
    sources = sum(values * scale for values, scale in zip(grid, (1000, 100, 10, 1), strict=True)).float()
    changed = augmentation(sources)
    assert changed.shape == (batch, 2, 2, 5)
    signs = changed.sign()
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}
    values = changed.abs().long()
    item, source, side, moment = values // 1000, values // 100 % 10, values // 10 % 10, values % 10
    assert (source == torch.arange(2)[None, :, None, None]).all(), "a source stays that source"
    assert (item.sort(dim=0).values[:, 0, 0, 0] == torch.arange(1, batch + 1)).all(), "each item is used once"
    assert (moment.diff(dim=3) == 1).all(), "time goes on"
    assert (side.sum(dim=2) == 1).all(), "both sides are there"
    assert (signs.flatten(2).amin(dim=2) == signs.flatten(2).amax(dim=2)).all(), "a source turns as a whole"
    assert torch.equal(augmentation.eval()(sources), sources[..., :5])


def test_demucs_computes_its_loss_in_eval_only_as_v1_did():
    assert step("demucs", "eval", compat="v1")[0].shape == ()
    assert len(step("demucs", "eval")[0]) == 2


def test_the_recogniser_has_the_layers_that_were_counted_by_hand():
    width, hidden, layers, vocabulary, features = 512, 2048, 6, 1014, 320
    attention, norm = 4 * width**2 + 4 * width, 2 * width
    feed = 2 * width * hidden + hidden + width
    encoder = features * width + width + norm + layers * (attention + feed + 2 * norm)
    decoder = vocabulary * width + layers * (2 * attention + feed + 3 * norm)
    assert SUITE["speech_transformer"].description.parameters["v1"] == encoder + decoder


def test_beam_search_finds_the_best_sentence_and_the_same_beams_apart():
    """With as many beams as sentences nothing is lost, so it must find what trying all of them finds."""
    torch.manual_seed(1)
    characters, length = 6, 3
    table = torch.randn(characters, characters)

    def encoder(frames, lengths):
        return frames, torch.ones(1, 1, 1, frames.shape[1], dtype=torch.bool)

    def decoder(sentences, encoded, visible):
        return table[sentences]

    frames = torch.zeros(1, 4, 2)
    found = [
        speech_transformer.beam_search(encoder, decoder, frames, beams=5, length=length, apart=apart)
        for apart in (False, True)
    ]
    assert torch.equal(*found)
    allowed = [c for c in range(characters) if c != speech_transformer.END]
    table[:, speech_transformer.END] = -torch.inf
    steps = table.log_softmax(dim=1)

    def score(sentence):
        return sum(float(steps[a, b]) for a, b in itertools.pairwise(sentence))

    every = [(speech_transformer.START, a, b, c) for a in allowed for b in allowed for c in allowed]
    best = max(every, key=score)
    assert tuple(found[0][0].tolist()) == best
    assert (found[0] != speech_transformer.END).all()


def test_what_the_decoder_has_not_yet_seen_does_not_matter():
    workload, _ = build("speech_transformer", "eval")
    encoder, decoder = workload.model.values()
    frames = workload.inputs[0]
    with torch.inference_mode():
        encoded, visible = encoder(frames, torch.tensor([frames.shape[1]]))
        one, other = torch.randint(3, 200, (2, 1, 6))
        other[:, :4] = one[:, :4]
        scores = [decoder(sentence, encoded, visible) for sentence in (one, other)]
    torch.testing.assert_close(scores[0][:, :4], scores[1][:, :4])
    assert not torch.allclose(scores[0][:, 4:], scores[1][:, 4:])


def test_frames_beyond_the_end_of_an_utterance_do_not_matter():
    encoder = speech_transformer.Encoder(8, 16, 1, 2, 32, 0.0).eval()
    frames = torch.randn(1, 6, 8)
    longer = torch.cat([frames, torch.randn(1, 3, 8)], dim=1)
    short = encoder(frames, torch.tensor([6]))[0]
    torch.testing.assert_close(encoder(longer, torch.tensor([6]))[0][:, :6], short)


def test_both_networks_of_the_recogniser_are_trained_and_v1_validates_after_it():
    workload, request = build("speech_transformer", "train")
    before = [parameter.detach().clone() for network in workload.networks() for parameter in network.parameters()]
    run = step_of(workload, request)
    for _ in range(3):
        run(CpuClock())
    after = [parameter for network in workload.networks() for parameter in network.parameters()]
    assert sum(not torch.equal(*pair) for pair in zip(before, after, strict=True)) > 0.8 * len(after)
    assert "validation" not in step("speech_transformer", "train")[1].phases
    assert "validation" in step("speech_transformer", "train", compat="v1")[1].phases


def test_the_speaker_encoder_has_the_layers_that_were_counted_by_hand():
    hidden, width = 768, 256
    count = sum(4 * hidden * (entering + hidden + 2) + hidden * width for entering in (40, width, width))
    assert SUITE["tts_angular"].description.parameters["v1"] == count


def test_speakers_are_vectors_of_length_one():
    vectors, _ = step("tts_angular", "eval")
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))


def test_the_prototypical_loss_is_what_it_is_by_hand():
    loss = tts_angular.AngularPrototypicalLoss()
    vectors = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 2.0], [0.0, 1.0]]])
    # Prototypes (0.5, 0.5) and (0, 1.5); cosines of (1, 0): 0.7071, 0, of (0, 1): 0.7071, 1.
    half = math.sqrt(0.5)
    scores = [[10 * half - 5, -5.0], [10 * half - 5, 5.0]]
    expected = -sum(scores[i][i] - math.log(sum(map(math.exp, scores[i]))) for i in range(2)) / 2
    assert loss(vectors).item() == pytest.approx(expected, rel=1e-5)


def test_one_utterance_from_each_speaker_is_v1s_nan():
    assert math.isnan(tts_angular.AngularPrototypicalLoss()(torch.randn(3, 1, 4)).item())


def test_training_learns_the_scale_of_the_loss_too():
    workload, request = build("tts_angular", "train")
    before = workload.model["loss"].weight.item()
    run = step_of(workload, request)
    for _ in range(8):
        run(CpuClock())
    assert workload.model["loss"].weight.item() != before
    assert facts.parameters(workload.networks()) == SUITE["tts_angular"].description.parameters["small"] + 2


# Tracing warns that it is deprecated, and of Python branches, which do not depend on the input here.
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("compat", [None, "v1"])
def test_traced_networks_follow_sentences_that_grow(compat):
    workload, request = build("speech_transformer", "eval", compat=compat)
    prepared = MODES["jit"].prepare(workload, request)
    assert torch.equal(step_of(prepared, request)(CpuClock()), step_of(workload, request)(CpuClock()))
    # Neither the number of frames nor that of sentences is the one traced with.
    frames, sentences = torch.randn(1, 19, 80), torch.randint(3, 200, (2, 11))
    with torch.inference_mode():
        found, expected = (
            one.model["decoder"](sentences, encoded.expand(2, -1, -1), visible)
            for one in (prepared, workload)
            for encoded, visible in [one.model["encoder"](frames, torch.tensor([15]))]
        )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_recogniser_learns_from_smoothed_labels():
    workload, request = build("speech_transformer", "train")
    frames, lengths, given, answers = workload.inputs
    assert torch.equal(given[:, 1:], answers[:, :-1])
    torch.manual_seed(3)
    with torch.no_grad():
        scores = workload.model["decoder"](given, *workload.model["encoder"](frames, lengths)).log_softmax(dim=2)
    expected = -(0.9 * scores.gather(2, answers[..., None])[..., 0] + 0.1 * scores.mean(dim=2)).mean()
    torch.manual_seed(3)
    torch.testing.assert_close(step_of(workload, request)(CpuClock()), expected)


def test_demucs_trains_every_layer_on_the_mean_absolute_difference():
    workload, request = build("demucs", "train")
    before = [parameter.detach().clone() for parameter in workload.model.parameters()]
    torch.manual_seed(3)
    with torch.no_grad():
        sources, found = workload.model(*workload.inputs)
    torch.manual_seed(3)
    loss = step_of(workload, request)(CpuClock())
    torch.testing.assert_close(loss.detach(), (sources - found).abs().mean())
    assert not any(torch.equal(*pair) for pair in zip(before, workload.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "type", "expected"),
    [
        ("demucs", "eval", [(4, 5, 2, 135_576)]),
        ("demucs", "train", [(4, 5, 2, 135_576)]),
        ("speech_transformer", "eval", [(1, 97, 320)]),
        ("speech_transformer", "train", [(10, 204, 320), (10,), (10, 31), (10, 31)]),
        ("tts_angular", "eval", [(64, 50, 40)]),
        ("tts_angular", "train", [(64, 50, 40)]),
    ],
)
def test_inputs_are_those_of_v1(name, type, expected):
    with torch.device("meta"):
        workload = SUITE[name].build(Request(type, "meta", SUITE[name].description.sizes["v1"]))
    assert [tuple(tensor.shape) for tensor in workload.inputs] == expected
