import importlib
import itertools
import math

import pytest

from harness import facts
from harness.benchmark import Request, load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of
from tests.workloads import build, meta

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

NETWORKS = "harness.suites.torchbench.networks"
cyclegan, stargan, matting, slomo, yolo = (
    importlib.import_module(f"{NETWORKS}.{name}")
    for name in ("cyclegan", "stargan", "background_matting", "super_slomo", "yolov3")
)

SUITE = load("torchbench")
NAMES = ("Background_Matting", "pytorch_CycleGAN_and_pix2pix", "pytorch_stargan", "Super_SloMo", "yolov3")


def convolution(narrow, wide, kernel, bias=True, norm=False):
    """Parameters of a convolution, with a norm behind it."""
    return narrow * wide * kernel * kernel + wide * bias + 2 * wide * norm


def test_the_networks_of_background_matting_are_those_of_v1():
    def encoder(channels):
        shapes = ((channels, 64, 7), (64, 128, 3), (128, 256, 3))
        return sum(convolution(*shape, norm=True) for shape in shapes)

    encoders = encoder(3) + encoder(3) + encoder(1) + encoder(4)
    combiners = 3 * convolution(512, 64, 1, bias=False, norm=True) + convolution(448, 256, 1, bias=False, norm=True)
    blocks = (7 + 3 + 3) * 2 * convolution(256, 256, 3, norm=True)
    alpha = convolution(256, 128, 3, norm=True) + convolution(128, 64, 3, norm=True) + convolution(64, 1, 7)
    colours = convolution(256, 128, 3, norm=True) + convolution(256, 64, 3, norm=True) + convolution(64, 3, 7)
    expected = encoders + combiners + blocks + alpha + colours
    networks = meta("Background_Matting", "train").model
    found = {name: facts.parameters([network]) for name, network in networks.items()}
    assert found == {"student": expected, "teacher": expected, "discriminator": 2_764_737}


def test_the_discriminator_of_background_matting_gives_the_patches_of_v1():
    with torch.device("meta"):
        found = matting.PatchDiscriminator(64, padding=2)(torch.zeros(1, 3, 512, 512))
    assert found.shape == (1, 1, 67, 67)


def test_the_networks_of_cyclegan_are_those_of_v1():
    generator = convolution(3, 64, 7) + convolution(64, 128, 3) + convolution(128, 256, 3)
    generator += 9 * 2 * convolution(256, 256, 3)
    generator += convolution(256, 128, 3) + convolution(128, 64, 3) + convolution(64, 3, 7)
    shapes = ((3, 64), (64, 128), (128, 256), (256, 512), (512, 1))
    discriminator = sum(convolution(*shape, 4) for shape in shapes)
    # As the authors give them: 11.378 and 2.765 million.
    assert (generator, discriminator) == (11_378_179, 2_764_737)
    networks = meta("pytorch_CycleGAN_and_pix2pix", "train").model
    assert [facts.parameters([network]) for network in networks.values()] == [
        generator,
        generator,
        discriminator,
        discriminator,
    ]
    assert facts.parameters([meta("pytorch_CycleGAN_and_pix2pix", "eval").model]) == generator


def test_a_patch_of_cyclegan_is_70_pixels_wide():
    judge = cyclegan.PatchDiscriminator(2, padding=1)
    # Instance norm would mix all pixels.
    judge.layers = torch.nn.Sequential(
        *(layer for layer in judge.layers if not isinstance(layer, torch.nn.InstanceNorm2d))
    )
    images = torch.rand(1, 3, 256, 256, requires_grad=True)
    answers = judge(images)
    assert answers.shape == (1, 1, 30, 30)
    answers[0, 0, 15, 15].backward()
    touched = images.grad[0].abs().sum(0).nonzero()
    assert (touched.max(0).values - touched.min(0).values + 1).tolist() == [70, 70]


def test_the_networks_of_stargan_are_those_of_v1():
    shapes = ((8, 64, 7), (64, 128, 4), (128, 256, 4), *((256, 256, 3),) * 12, (256, 128, 4), (128, 64, 4))
    generator = sum(convolution(*shape, bias=False, norm=True) for shape in shapes)
    generator += convolution(64, 3, 7, bias=False)
    widths = (3, 64, 128, 256, 512, 1024, 2048)
    discriminator = sum(convolution(*pair, 4) for pair in itertools.pairwise(widths))
    discriminator += convolution(2048, 1, 3, bias=False) + convolution(2048, 5, 2, bias=False)
    networks = meta("pytorch_stargan", "train").model
    assert {name: facts.parameters([network]) for name, network in networks.items()} == {
        "generator": generator,
        "discriminator": discriminator,
    }
    assert round(generator / 1e6, 1) == 8.4
    assert round(discriminator / 1e6, 1) == 44.8


def test_the_networks_of_super_slomo_are_those_of_v1():
    def unet(inputs, outputs):
        levels = ((inputs, 32, 7), (32, 64, 5), (64, 128, 3), (128, 256, 3), (256, 512, 3), (512, 512, 3))
        total = sum(convolution(a, b, k) + convolution(b, b, k) for a, b, k in levels)
        ups = ((512, 512), (512, 256), (256, 128), (128, 64), (64, 32))
        total += sum(convolution(a, b, 3) + convolution(2 * b, b, 3) for a, b in ups)
        return total + convolution(32, outputs, 3)

    networks = meta("Super_SloMo", "train").model
    assert facts.parameters([networks["interpolator"].flows]) == unet(6, 4)
    assert facts.parameters([networks["interpolator"].refinement]) == unet(20, 5)
    assert facts.parameters([meta("Super_SloMo", "eval").model["interpolator"]]) == unet(6, 4) + unet(20, 5)


def test_the_perceptual_features_are_those_of_vgg16():
    import torchvision

    with torch.device("meta"):
        reference = torchvision.models.vgg16().features[:22]
    found = meta("Super_SloMo", "train").model["features"]
    assert [str(layer) for layer in found] == [str(layer) for layer in reference]
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_the_network_of_yolov3_is_that_of_v1():
    network = meta("yolov3", "eval").model
    convolutions = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 76
    assert sum(len(stage) - 1 for stage in network.stages) == 23
    backbone = [(3, 32, 3)]
    for level, repeat in enumerate((1, 2, 8, 8, 4)):
        width = 64 << level
        backbone += [(width // 2, width, 3), *((width, width // 2, 1), (width // 2, width, 3)) * repeat]
    neck = [(1024, 512, 1), (512, 1024, 3), (1024, 512, 1), (2048, 512, 1), (512, 1024, 3), (1024, 512, 1)]
    neck += [(512, 1024, 3), (512, 256, 1)]
    neck += [(768, 256, 1), (256, 512, 3), (512, 256, 1), (256, 512, 3), (512, 256, 1), (256, 512, 3), (256, 128, 1)]
    neck += [(384, 128, 1), (128, 256, 3), (256, 128, 1), (128, 256, 3), (256, 128, 1), (128, 256, 3)]
    expected = sum(convolution(*shape, bias=False, norm=True) for shape in backbone + neck)
    expected += sum(convolution(width, 255, 1) for width in (1024, 512, 256))
    assert facts.parameters([network]) == expected
    assert round(expected / 1e6) == 63


def test_inputs_are_those_of_v1():
    def shapes(name, type):
        return [tuple(tensor.shape) for tensor in meta(name, type).inputs]

    seen = [(1, 3, 512, 512), (1, 3, 512, 512), (1, 1, 512, 512), (1, 4, 512, 512)]
    assert shapes("Background_Matting", "eval") == seen
    assert shapes("Background_Matting", "train") == [*seen, (1, 3, 512, 512)]
    assert shapes("pytorch_CycleGAN_and_pix2pix", "eval") == [(1, 3, 256, 256)]
    assert shapes("pytorch_CycleGAN_and_pix2pix", "train") == [(1, 3, 256, 256)] * 2
    assert shapes("pytorch_stargan", "eval") == [(17, 3, 128, 128), (17, 5)]
    assert shapes("Super_SloMo", "train") == [*((6, 3, 352, 352),) * 2, (6, 1, 1, 1), (6, 3, 352, 352)]
    assert shapes("yolov3", "eval") == [(1, 3, 384, 512)]
    assert shapes("yolov3", "train") == [(8, 3, 416, 416)]


# What each train step has to move. The motion encoder runs in V1, and its output is not used.
TRAINED = {
    "Background_Matting": ("student", "discriminator"),
    "pytorch_CycleGAN_and_pix2pix": ("to_zebra", "to_horse", "is_zebra", "is_horse"),
    "pytorch_stargan": ("generator", "discriminator"),
    "Super_SloMo": ("interpolator",),
    "yolov3": ("model",),
}


def named_networks(workload):
    return workload.model if isinstance(workload.model, dict) else {"model": workload.model}


@pytest.mark.parametrize("name", NAMES)
def test_a_step_trains_every_parameter_that_it_should_and_no_other(name):
    workload, request = build(name, "train")
    networks = named_networks(workload)
    before = {key: [p.detach().clone() for p in network.parameters()] for key, network in networks.items()}
    step, clock = step_of(workload, request), CpuClock()
    # In the burn-in of yolov3 learning rates are so small at first that some weights of one stay what they are.
    for _ in range(6 if name == "yolov3" else 1):
        clock.start()
        output = step(clock)
        clock.stop()
    losses = output if isinstance(output, tuple) else (output,)
    assert all(loss.shape == () and math.isfinite(loss) and not loss.requires_grad for loss in losses)
    assert set(clock.phases) == {"forward", "backward", "update"}
    assert sum(clock.phases.values()) == pytest.approx(clock.elapsed, rel=0.2)
    for key, network in networks.items():
        for (parameter, value), old in zip(network.named_parameters(), before[key], strict=True):
            expected = key in TRAINED[name] and not parameter.startswith("motion.")
            assert torch.equal(value, old) is not expected, f"{key}.{parameter}"


@pytest.mark.parametrize(
    ("name", "losses"),
    [
        ("Background_Matting", (0,)),
        ("pytorch_CycleGAN_and_pix2pix", (0,)),
        ("pytorch_stargan", (1,)),
        ("Super_SloMo", (0,)),
        ("yolov3", (0,)),
    ],
)
def test_training_lowers_the_loss(name, losses):
    workload, request = build(name, "train")
    step = step_of(workload, request)
    torch.manual_seed(0)
    history = []
    for _ in range(10):
        output = step(CpuClock())
        history.append(output if isinstance(output, tuple) else (output,))
    for index in losses:
        assert history[-1][index] < history[0][index]


def test_the_discriminator_of_background_matting_is_updated_once_per_call():
    workload, request = build("Background_Matting", "train", iterations=2, image=32)
    once = step_of(workload, request)
    weights = workload.model["discriminator"].layers[0].weight
    seen = [weights.detach().clone()]
    once(CpuClock())
    seen.append(weights.detach().clone())
    # The second step of a call is not updated, so two single steps after a call are one update and none.
    single = workload.step
    for _ in range(2):
        single(workload, CpuClock())
        seen.append(weights.detach().clone())
    assert [torch.equal(*pair) for pair in itertools.pairwise(seen)] == [False, False, True]


def test_only_the_sane_stargan_updates_its_generator():
    for compat, moves in ((None, True), ("v1", False)):
        workload, request = build("pytorch_stargan", "train", compat=compat)
        weights = {name: next(network.parameters()) for name, network in workload.model.items()}
        before = {name: value.detach().clone() for name, value in weights.items()}
        output = step_of(workload, request)(CpuClock())
        assert len(output) == 1 + moves
        assert torch.equal(weights["generator"], before["generator"]) is not moves
        assert not torch.equal(weights["discriminator"], before["discriminator"])


def test_v1_computes_the_losses_of_super_slomo_in_eval_too():
    sane, request = build("Super_SloMo", "eval")
    (frame,) = step_of(sane, request)(CpuClock())
    v1, request = build("Super_SloMo", "eval", compat="v1")
    same, loss = step_of(v1, request)(CpuClock())
    assert set(sane.model) == {"interpolator"}
    assert torch.equal(frame, same)
    assert loss.shape == ()
    assert loss > 0


@pytest.mark.parametrize(("type", "built"), [("eval", [1, 2, 3]), ("train", [1, 1, 2])])
def test_v1_builds_yolov3_in_every_call(type, built, monkeypatch):
    made = []
    for compat, expected in ((None, [0, 0, 0]), ("v1", built)):
        workload, _ = build("yolov3", type, compat=compat, iterations=2)
        original = yolo.Darknet.__init__
        with monkeypatch.context() as patch:
            patch.setattr(yolo.Darknet, "__init__", lambda self, *a, o=original: (made.append(1), o(self, *a))[1])
            made.clear()
            counts = []
            for _ in range(3):
                workload.step(workload, CpuClock())
                counts.append(len(made))
        assert counts == expected


def test_v1_begins_the_training_of_yolov3_anew_in_every_call():
    # Two steps under a burn-in that has begun anew have the learning rate of the first two again.
    rates = {}
    for compat in (None, "v1"):
        workload, request = build("yolov3", "train", compat=compat, iterations=1)
        weights = workload.model.heads[0][-1].bias
        moved = []
        for _ in range(4):
            before = weights.detach().clone()
            step_of(workload, request)(CpuClock())
            moved.append((weights.detach() - before).norm().item())
        rates[compat] = moved
    assert rates[None][0] == rates["v1"][0]
    # Momentum is lost.
    assert rates["v1"][3] < rates[None][3]


def test_masked_l1_counts_only_what_the_mask_shows():
    one, other = torch.zeros(2, 2, 1, 2), torch.tensor([[[[1.0, 5.0]], [[2.0, 7.0]]], [[[3.0, 3.0]], [[0.0, 1.0]]]])
    mask = torch.tensor([[[[1.0, 0.0]]], [[[1.0, 1.0]]]])
    assert matting.masked_l1(one, other, mask).item() == pytest.approx(((1 + 2) / 1 + (3 + 3 + 0 + 1) / 2) / 2)
    assert matting.masked_l1(one, other, torch.zeros_like(mask)).item() == 0


def test_the_gradient_loss_sees_edges_and_not_levels():
    everywhere = torch.ones(1, 1, 6, 6)
    flat, ramp = torch.zeros(1, 1, 6, 6), torch.arange(6.0).expand(1, 1, 6, 6)
    inner = torch.nn.functional.pad(torch.ones(1, 1, 4, 4), [1] * 4)
    # Sobel's response to a slope of one is 8 across and 0 down.
    assert matting.gradient_loss(flat, ramp, inner).item() == pytest.approx(8)
    assert matting.gradient_loss(ramp, ramp, everywhere).item() == 0
    assert matting.gradient_loss(flat, flat + 3, inner).item() == 0


def test_alpha_decides_between_foreground_and_background():
    alpha = torch.tensor([-1.0, 0.0, 1.0])
    assert matting.composed(alpha, torch.full((3,), 4.0), torch.full((3,), 2.0)).tolist() == [2, 3, 4]


def test_a_pool_gives_back_earlier_images_and_keeps_new_ones():
    torch.manual_seed(3)
    pool = cyclegan.ImagePool(torch.zeros(1, 3, 4, 4))
    assert pool.images.shape == (50, 3, 4, 4)
    kept = 0
    for number in range(2, 202):
        images = torch.full((2, 3, 4, 4), float(number))
        before = pool.images.clone()
        given = pool.exchange(images)
        changed = (pool.images != before).flatten(1).any(1)
        kept += int(changed.sum())
        earlier = [image for image in given if image[0, 0, 0] != number]
        assert len(earlier) == int(changed.sum())
        assert all(any(torch.equal(image, old) for old in before[changed]) for image in earlier)
    # Of 400 images half are put into the pool: 200, with a deviation of 10.
    assert 150 < kept < 250


def test_cyclegan_lets_the_generators_loss_through_but_not_into_the_discriminators():
    workload, request = build("pytorch_CycleGAN_and_pix2pix", "train")
    judge = workload.model["is_zebra"]

    class Stop(Exception):
        pass

    class AfterFirstUpdate(CpuClock):
        def mark(self, phase):
            if phase == "backward":
                raise Stop

    with pytest.raises(Stop):
        step_of(workload, request)(AfterFirstUpdate())
    assert all(parameter.grad is None for parameter in judge.parameters())
    assert all(parameter.grad is not None for parameter in workload.model["to_zebra"].parameters())


def test_the_gradient_penalty_of_a_linear_judge_is_known():
    weight = torch.tensor([[0.6, 0.0], [0.0, 0.8]]) * 3
    images = torch.rand(4, 1, 2, 2)
    found = stargan.gradient_penalty(lambda x: ((x * weight).sum((1, 2, 3)), x), images, torch.rand(4, 1, 2, 2))
    assert found.item() == pytest.approx((3 - 1) ** 2, rel=1e-5)


def test_labels_of_stargan_are_planes_beside_the_image():
    torch.manual_seed(0)
    generator = stargan.Generator(4, 1, 3)
    seen = []
    generator.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    generator(torch.rand(1, 3, 8, 8), labels)
    assert torch.equal(seen[0][:, 3:].amax((2, 3)), labels)
    assert torch.equal(seen[0][:, 3:].amin((2, 3)), labels)


def test_warping_by_whole_pixels_moves_the_image():
    image = torch.rand(1, 2, 6, 8)
    flow = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 6, 8)
    moved = slomo.warped(image, flow)
    torch.testing.assert_close(moved[:, :, 1:, :6], image[:, :, :5, 2:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slomo.warped(image, 0 * flow), image, rtol=1e-4, atol=1e-5)
    half = slomo.warped(image, torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, 6, 8))
    torch.testing.assert_close(half[..., :7], (image[..., :7] + image[..., 1:]) / 2, rtol=1e-4, atol=1e-5)


def test_frames_at_a_time_are_warped_by_the_papers_flows():
    torch.manual_seed(0)
    model = slomo.Interpolator((4, 4), (7, 5, 3))
    first, last = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    t = torch.tensor([0.25, 0.5]).view(2, 1, 1, 1)
    frame, onward, back, from_first, from_last = model(first, last, t)
    to_first = -(1 - t) * t * onward + t * t * back
    to_last = (1 - t) ** 2 * onward - t * (1 - t) * back
    torch.testing.assert_close(from_first, slomo.warped(first, to_first))
    torch.testing.assert_close(from_last, slomo.warped(last, to_last))
    assert frame.shape == first.shape
    torch.nn.init.zeros_(model.refinement.last.weight)
    torch.nn.init.zeros_(model.refinement.last.bias)
    # Without refinement both are seen alike, and the nearer frame counts for more.
    torch.testing.assert_close(model(first, last, t)[0], (1 - t) * from_first + t * from_last)


def test_generalised_iou_is_that_of_the_paper():
    boxes = torch.tensor([[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]])
    others = torch.tensor([[1.0, 1.0, 2.0, 2.0], [2.0, 1.0, 2.0, 2.0], [5.0, 1.0, 2.0, 2.0]])
    # The same; half upon each other (2 of 6, hull 6); apart (none of 8, hull 12).
    expected = [1.0, 2 / 6, 0 - (12 - 8) / 12]
    torch.testing.assert_close(yolo.generalised_iou(boxes, others), torch.tensor(expected))


def test_generalised_iou_is_that_of_torchvision():
    import torchvision

    torch.manual_seed(4)
    one, other = torch.rand(20, 4) + 0.1, torch.rand(20, 4) + 0.1
    corners = [torch.cat([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], 1) for b in (one, other)]
    expected = torchvision.ops.generalized_box_iou(*corners).diagonal()
    torch.testing.assert_close(yolo.generalised_iou(one, other), expected)


def test_labels_are_matched_with_the_anchors_of_their_shape():
    anchors = torch.tensor([[1.0, 1.0], [2.0, 4.0], [8.0, 8.0]])
    # On a map of 10 x 20: a box of 2 x 4 at column 5.5, row 7.25.
    labels = torch.tensor([[1.0, 17.0, 5.5 / 20, 7.25 / 10, 2 / 20, 4 / 10]])
    places, boxes, shapes, classes = yolo.matched(labels, anchors, (10, 20))
    # 1 of 8 cells is too little, 8 of 8 is the same, 8 of 64 is too little.
    assert [part.tolist() for part in places] == [[1], [1], [7], [5]]
    torch.testing.assert_close(boxes, torch.tensor([[0.5, 0.25, 2.0, 4.0]]))
    assert (shapes.tolist(), classes.tolist()) == ([[2.0, 4.0]], [17])


def test_the_loss_of_a_perfect_detection_is_almost_nothing():
    anchors = torch.tensor(yolo.ANCHORS, dtype=torch.float)
    labels = torch.tensor([[0.0, 3.0, 0.453, 0.547, 30 / 128, 61 / 128]])
    raw = [torch.full((1, 3, 128 // stride, 128 // stride, 85), -12.0) for stride in yolo.STRIDES]
    for found, level, stride in zip(raw, anchors, yolo.STRIDES, strict=True):
        places, boxes, shapes, _ = yolo.matched(labels, level / stride, found.shape[2:4])
        here = torch.full((len(boxes), 85), -12.0)
        here[:, :2], here[:, 2:4] = boxes[:, :2].logit(), (boxes[:, 2:] / shapes).log()
        here[:, 4], here[:, 5 + 3] = 12.0, 12.0
        found[places] = here
    assert yolo.detection_loss(raw, labels, anchors, share=1.0) < 0.05
    raw[1][..., 5 + 3] = -12.0
    assert yolo.detection_loss(raw, labels, anchors, share=1.0) > 1


def test_boxes_are_decoded_from_their_cell_and_anchor():
    raw = torch.zeros(1, 3, 2, 4, 85)
    raw[0, 1, 1, 2, :5] = torch.tensor([0.0, math.log(3), math.log(2), 0.0, math.log(4)])
    box = yolo.decoded(raw, torch.tensor(yolo.ANCHORS[1], dtype=torch.float), 16)[0, 1, 1, 2]
    assert box[:5].tolist() == pytest.approx([2.5 * 16, 1.75 * 16, 2 * 62, 45, 0.8])


def test_suppression_keeps_the_best_of_each_class():
    boxes = torch.zeros(1, 5, 85)
    boxes[0, :, :4] = torch.tensor([50.0, 50.0, 20.0, 20.0])
    boxes[0, 1, 0] = 52.0
    boxes[0, :, 4] = torch.tensor([0.7, 0.9, 0.8, 0.9, 0.2])
    boxes[0, range(5), torch.tensor([5, 5, 6, 7, 8])] = torch.tensor([1.0, 1.0, 1.0, 0.3, 1.0])
    (found,) = yolo.non_maximum_suppression(boxes)
    # The first gives way to the second of its class; the fourth is not sure of its class, the fifth of being there.
    expected = [[42, 40, 62, 60, 0.9, 0], [40, 40, 60, 60, 0.8, 1]]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize("seed", [1, 1337])
def test_a_random_yolov3_finds_as_many_boxes_as_its_size_says(seed):
    size = SUITE["yolov3"].description.sizes["small"]
    request = Request("eval", "cpu", size, seed)
    workload = SUITE["yolov3"].build(request)
    predictions, found = step_of(workload, request)(CpuClock())
    assert predictions.shape == (1, 3 * (3 * 4 + 6 * 8 + 12 * 16), 85)
    scores = (predictions[..., 5:] * predictions[..., 4:5]).amax(2)
    assert int((scores > yolo.CONFIDENCE).sum()) == size["candidates"]
    assert 0 < len(found[0]) <= size["candidates"]
    assert found[0].is_inference()


def test_the_averaged_weights_of_yolov3_follow():
    torch.manual_seed(0)
    network = yolo.Darknet(2, (1, 1, 1, 1, 1))
    training = yolo.Training(network)
    before = [average.clone() for average in training.average]
    training.update(network(torch.rand(2, 3, 64, 64))[0].square().sum(), CpuClock())
    state = [value for value in network.state_dict().values() if value.is_floating_point()]
    decay = 0.9999 * (1 - math.exp(-1 / 2000))
    for old, new, average in zip(before, state, training.average, strict=True):
        torch.testing.assert_close(average, decay * old + (1 - decay) * new)


def test_only_the_kernels_of_yolov3_decay():
    training = yolo.Training(yolo.Darknet(2, (1, 1, 1, 1, 1)))
    training.done = yolo.BURN_IN
    weight = torch.zeros((), requires_grad=True)
    training.update(weight * 0, CpuClock())
    groups = {group["kind"]: group for group in training.optimizer.param_groups}
    assert {kind: group["weight_decay"] for kind, group in groups.items()} == {"kernel": 5e-4, "bias": 0, "norm": 0}
    assert all(group["lr"] == pytest.approx(0.01) for group in groups.values())
    assert all(group["momentum"] == pytest.approx(0.937) for group in groups.values())
    assert {parameter.dim() for parameter in groups["kernel"]["params"]} == {4}


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:FutureWarning", "ignore:.*deprecated", "ignore::torch.jit.TracerWarning"
)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", ["eval", "train"])
def test_jit_computes_the_same(name, type):
    results = {}
    for mode in ("eager", "jit"):
        workload, request = build(name, type)
        prepared = MODES[mode].prepare(workload, request)
        torch.manual_seed(2)
        output = step_of(prepared, request)(CpuClock())
        results[mode] = [output] if torch.is_tensor(output) else list(output)
    torch.testing.assert_close(results["jit"], results["eager"], rtol=1e-3, atol=1e-4)
