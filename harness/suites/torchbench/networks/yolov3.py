"""YOLOv3 with spatial pyramid pooling: finds objects of 80 classes as boxes, at three scales.

Own definition after Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018), with the loss, the optimizer and
the hyper-parameters of TorchBench V1: boxes by generalised intersection over union (Rezatofighi et al., 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.updates import descend, follow

CLASSES = 80
STRIDES = (32, 16, 8)
ANCHORS = (
    ((116, 90), (156, 198), (373, 326)),
    ((30, 61), (62, 45), (59, 119)),
    ((10, 13), (16, 30), (33, 23)),
)
"""Width and height in pixels of the three boxes that each cell starts from, by stride."""

CONFIDENCE = 0.3
OVERLAP = 0.6
MATCHING_OVERLAP = 0.2
GAINS = {"box": 3.54, "object": 64.3, "class": 37.4}
LEARNING_RATE = 0.01
BURN_IN = 500
"""Steps over which learning rates, momentum and weight decay go to their values."""
NOMINAL_BATCH = 64
OBJECTS = 8
"""Labelled boxes per image: COCO has seven in the mean."""


class Convolution(nn.Sequential):
    """Convolution without bias, batch norm, leaky ReLU 0.1; k^2 * narrow * wide + 2 * wide parameters."""

    def __init__(self, narrow: int, wide: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(narrow, wide, kernel, stride=stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(wide, eps=1e-4, momentum=0.03),
            nn.LeakyReLU(0.1),
        )


class Residual(nn.Module):
    """Maps plus what 1 x 1 to half of the width and 3 x 3 back make of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(Convolution(width, width // 2, 1), Convolution(width // 2, width, 3))

    def forward(self, maps: Tensor) -> Tensor:
        """Add them up."""
        return maps + self.layers(maps)


class Pyramid(nn.Module):
    """Maps beside their maxima within 5, 9 and 13 pixels: four times the width."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.MaxPool2d(kernel, stride=1, padding=kernel // 2) for kernel in (13, 9, 5))

    def forward(self, maps: Tensor) -> Tensor:
        """Pool."""
        return torch.cat([*(pool(maps) for pool in self.pools), maps], dim=1)


def _neck(narrow: int, width: int, pyramid: bool) -> nn.Sequential:
    """1 x 1 to `width` and 3 x 3 to twice that in turn, five convolutions; or six around a pyramid."""
    middle = [Pyramid(), Convolution(4 * width, width, 1)] if pyramid else []
    return nn.Sequential(
        Convolution(narrow, width, 1),
        Convolution(width, 2 * width, 3),
        Convolution(2 * width, width, 1),
        *middle,
        Convolution(width, 2 * width, 3),
        Convolution(2 * width, width, 1),
    )


class Darknet(nn.Module):
    """Images [batch, 3, h, w] to predicted boxes; h and w are multiples of 32.

    Darknet-53: a 3 x 3 convolution to w maps, then five stages, each a 3 x 3 of stride two to twice the maps and
    `repeats` residuals. From the deepest stage a neck with the pyramid to 16 w maps and a head; then twice a 1 x 1 to
    half of the neck's width, upsampling, the stage of that size beside it, a neck of half the width and a head. A head
    is a 3 x 3 convolution to twice the maps and a 1 x 1 with bias to 3 * (5 + classes).

    In training mode gives for each stride, the largest first, raw numbers [batch, 3, h/stride, w/stride, 5 + classes]:
    place and size of the box, that there is one, the classes. In eval mode gives boxes [batch, n, 5 + classes]: centre
    and size in pixels, and probabilities.

    62,998,749 parameters with w 32 and repeats (1, 2, 8, 8, 4), in 76 convolutions: Convolution's numbers, and
    (32 w + 16 w + 8 w) * 255 + 3 * 255 for the last ones.
    """

    def __init__(self, width: int, repeats: Sequence[int]) -> None:
        super().__init__()
        self.first = Convolution(3, width, 3)
        self.stages = nn.ModuleList(
            nn.Sequential(
                Convolution(width << level, width << level + 1, 3, stride=2),
                *(Residual(width << level + 1) for _ in range(repeat)),
            )
            for level, repeat in enumerate(repeats)
        )
        self.necks = nn.ModuleList(
            [
                _neck(32 * width, 16 * width, True),
                _neck(24 * width, 8 * width, False),
                _neck(12 * width, 4 * width, False),
            ]
        )
        self.up = nn.ModuleList(
            nn.Sequential(Convolution(wide, wide // 2, 1), nn.Upsample(scale_factor=2))
            for wide in (16 * width, 8 * width)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(Convolution(wide, 2 * wide, 3), nn.Conv2d(2 * wide, len(ANCHORS[0]) * (5 + CLASSES), 1))
            for wide in (16 * width, 8 * width, 4 * width)
        )
        self.register_buffer("anchors", torch.tensor(ANCHORS, dtype=torch.float), persistent=False)
        with torch.no_grad():
            for bias in self.biases():
                # So that at first there are few objects, and of no class in particular.
                bias[:, 4] -= 4.5
                bias[:, 5:] += math.log(0.6 / (CLASSES - 0.99))

    def biases(self) -> list[Tensor]:
        """Those of the heads, as views [anchors, 5 + classes]."""
        return [head[-1].bias.detach().view(len(ANCHORS[0]), -1) for head in self.heads]

    def forward(self, images: Tensor) -> Any:
        """Raw numbers by stride, or boxes."""
        maps, passed = self.first(images), []
        for stage in self.stages:
            maps = stage(maps)
            passed.append(maps)
        raw: list[Tensor] = []
        for level, (neck, head) in enumerate(zip(self.necks, self.heads, strict=True)):
            if level:
                maps = torch.cat([self.up[level - 1](maps), passed[-1 - level]], dim=1)
            maps = neck(maps)
            found = head(maps)
            found = found.view(found.shape[0], len(ANCHORS[0]), -1, *found.shape[2:])
            raw.append(found.permute(0, 1, 3, 4, 2).contiguous())
        if self.training:
            return tuple(raw)
        levels = zip(raw, self.anchors, STRIDES, strict=True)
        return torch.cat([decoded(*level).flatten(1, 3) for level in levels], dim=1)


def decoded(raw: Tensor, anchors: Tensor, stride: int) -> Tensor:
    """Raw numbers [batch, 3, rows, columns, 5 + classes] to centre, width and height in pixels, and probabilities."""
    rows, columns = raw.shape[2:4]
    device = raw.device
    down, right = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
    centres = (raw[..., :2].sigmoid() + torch.stack([right, down], dim=2)) * stride
    sizes = raw[..., 2:4].exp() * anchors[:, None, None]
    return torch.cat([centres, sizes, raw[..., 4:].sigmoid()], dim=4)


def non_maximum_suppression(predictions: Tensor) -> list[Tensor]:
    """For each image boxes [n, 6] (left, top, right, bottom, score, class), the best first.

    A box counts when it is probable that there is an object, and then when the product with its best class still is;
    of those of one class that overlap only the best is kept.
    """
    results = []
    for boxes in predictions:
        boxes = boxes[boxes[:, 4] > CONFIDENCE]
        scores, classes = (boxes[:, 5:] * boxes[:, 4:5]).max(dim=1)
        sure = scores > CONFIDENCE
        boxes, scores, classes = boxes[sure], scores[sure], classes[sure]
        corners = torch.cat([boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2], dim=1)
        kept = batched_nms(corners, scores, classes, OVERLAP)
        found = torch.cat([corners, scores[:, None], classes[:, None].to(scores.dtype)], dim=1)
        results.append(found[kept])
    return results


@torch.no_grad()
def settle(network: Darknet, image: Tensor, candidates: int) -> None:
    """Make a random network find something: exactly `candidates` boxes of an image count before suppression.

    Batch norms take the statistics of the image for their own, or the signal would be lost on its way; classes become
    probable, some more than others; and the biases for objects move, all by the same, to between the best `candidates`
    boxes and the rest.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    momentum = norms[0].momentum
    for norm in norms:
        norm.momentum = 1.0
    network.train()(image)
    for norm in norms:
        norm.momentum = momentum
    frequencies = torch.randn(CLASSES)
    for bias in network.biases():
        bias[:, 5:] = frequencies
    boxes = network.eval()(image)[0]
    best = boxes[:, 5:].amax(dim=1)
    # By how much the logit of an object is over what its best class makes enough; below zero if that never is.
    needed = torch.where(best > CONFIDENCE, CONFIDENCE / best, 1.0).logit(eps=1e-6)
    margins = (boxes[:, 4].logit() - needed).topk(candidates + 1).values
    for bias in network.biases():
        bias[:, 4] -= margins[-2:].mean()


def matched(labels: Tensor, anchors: Tensor, shape: Sequence[int]) -> tuple[tuple[Tensor, ...], Tensor, Tensor, Tensor]:
    """Labels [n, 6] (image, class, centre and size in parts of the image) for each anchor that is of their shape.

    `anchors` [3, 2] and the results are in cells of a map of `shape` (rows, columns). An anchor is of a box's shape
    when they overlap by at least a fifth, laid upon each other. Gives the places (image, anchor, row, column), the
    boxes [m, 4] with their centres relative to the cell, the anchors [m, 2] and the classes [m].
    """
    rows, columns = shape
    scale = torch.tensor([columns, rows, columns, rows], device=labels.device, dtype=labels.dtype)
    boxes = labels[:, 2:] * scale
    common = torch.minimum(anchors[:, None], boxes[:, 2:]).prod(dim=2)
    overlaps = common / (anchors.prod(dim=1)[:, None] + boxes[:, 2:].prod(dim=1) - common)
    anchor, label = (overlaps > MATCHING_OVERLAP).nonzero(as_tuple=True)
    boxes, places = boxes[label], labels[label, :2].long()
    cells = boxes[:, :2].long()
    inside = torch.cat([boxes[:, :2] - cells, boxes[:, 2:]], dim=1)
    return (places[:, 0], anchor, cells[:, 1], cells[:, 0]), inside, anchors[anchor], places[:, 1]


def generalised_iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes [n, 4] (centre and size), less the part of their hull that neither covers."""
    low = [boxes[:, :2] - boxes[:, 2:] / 2 for boxes in (one, other)]
    high = [boxes[:, :2] + boxes[:, 2:] / 2 for boxes in (one, other)]
    common = (torch.minimum(*high) - torch.maximum(*low)).clamp(min=0).prod(dim=1)
    union = one[:, 2:].prod(dim=1) + other[:, 2:].prod(dim=1) - common + 1e-16
    hull = (torch.maximum(*high) - torch.minimum(*low)).prod(dim=1) + 1e-16
    return common / union - (hull - union) / hull


def detection_loss(raw: Sequence[Tensor], labels: Tensor, anchors: Tensor, share: float) -> Tensor:
    """The losses of boxes, of objects and of classes, weighted and summed over the strides; not over the batch.

    Where a label is matched, there is an object as far as the box is right: `share` times its generalised intersection
    over union, and the rest of one for certain.
    """
    entropy = functional.binary_cross_entropy_with_logits
    losses = []
    for found, level_anchors, stride in zip(raw, anchors, STRIDES, strict=True):
        places, boxes, shapes, classes = matched(labels, level_anchors / stride, found.shape[2:4])
        objects = torch.zeros_like(found[..., 0])
        if len(classes):
            here = found[places]
            sizes = here[:, 2:4].exp().clamp(max=1e3) * shapes
            overlap = generalised_iou(torch.cat([here[:, :2].sigmoid(), sizes], dim=1), boxes)
            objects[places] = (1 - share) + share * overlap.detach().clamp(min=0).to(objects.dtype)
            wanted = functional.one_hot(classes, CLASSES).to(here.dtype)
            losses += [GAINS["box"] * (1 - overlap).mean(), GAINS["class"] * entropy(here[:, 5:], wanted)]
        losses.append(GAINS["object"] * entropy(found[..., 4], objects))
    return torch.stack(losses).sum()


class Training:
    """What is made once for the training of a network: its optimizer, with a burn-in, and its averaged weights.

    Stochastic gradient descent with Nesterov's momentum 0.937, learning rate 0.01, and weight decay 5e-4 for the
    weights of convolutions only. During the burn-in momentum rises from 0.9, weight decay from zero and the learning
    rate from zero, but for biases falls from 0.1.
    """

    def __init__(self, network: Darknet) -> None:
        groups: dict[str, list[nn.Parameter]] = {"kernel": [], "bias": [], "norm": []}
        for name, parameter in network.named_parameters():
            groups["kernel" if parameter.dim() == 4 else "bias" if name.endswith("bias") else "norm"].append(parameter)
        self.optimizer = torch.optim.SGD(
            [{"params": parameters, "kind": kind} for kind, parameters in groups.items()],
            lr=LEARNING_RATE,
            momentum=0.937,
            nesterov=True,
        )
        self.done = 0
        self._weights = [value for value in network.state_dict().values() if value.is_floating_point()]
        self.average = [weights.clone() for weights in self._weights]

    @property
    def progress(self) -> float:
        """The part of the burn-in that is over with this step; 1 after it."""
        return min((self.done + 1) / BURN_IN, 1.0)

    def update(self, loss: Tensor, clock: Any) -> None:
        """One step down the loss; the averages follow, the more slowly the longer the training lasts."""
        share = self.progress
        for group in self.optimizer.param_groups:
            start = 0.1 if group["kind"] == "bias" else 0.0
            group["lr"] = start + share * (LEARNING_RATE - start)
            group["momentum"] = 0.9 + share * 0.037
            group["weight_decay"] = share * 5e-4 if group["kind"] == "kernel" else 0.0
        descend(loss, self.optimizer, clock)
        self.done += 1
        follow(self.average, self._weights, 1 - 0.9999 * (1 - math.exp(-self.done / 2000)))
        clock.mark("update")


def random_labels(images: int) -> Tensor:
    """Labels [n, 6] for some images as `matched` takes them: boxes within the image, small ones more often."""
    count = images * OBJECTS
    image = torch.arange(count) // OBJECTS
    sizes = 0.05 * 12 ** torch.rand(count, 2)
    centres = sizes / 2 + torch.rand(count, 2) * (1 - sizes)
    return torch.cat([image[:, None], torch.randint(CLASSES, (count, 1)), centres, sizes], dim=1)


def detector(request: Request) -> Workload:
    """Boxes found in images with random pixels, or one update by images with random labelled boxes.

    With the mistakes of V1 a network is built in every timed call, for training with all that belongs to it. The new
    network is only built and moved: the one that runs is the lane's, so that a compiled one stays compiled.
    """
    torch.manual_seed(request.seed)
    size, device = request.size, request.device

    def build() -> Darknet:
        return Darknet(size["width"], size["repeats"])

    network = build()
    shape = size["train_image" if request.training else "image"]
    images = torch.rand(request.batch, 3, *shape)
    if not request.training:
        settle(network, images[:1], size["candidates"])
        network, images = network.to(device), images.to(device)

        def find(workload: Workload, clock: Any) -> tuple[Tensor, list[Tensor]]:
            if request.v1:
                build().to(device).eval()
            with torch.inference_mode():
                predictions = workload.model(images)
                return predictions, non_maximum_suppression(predictions)

        return Workload(model=network, inputs=(images,), items=request.batch, step=find)

    network, images = network.to(device).train(), images.to(device)
    labels = random_labels(request.batch).to(device)
    training = Training(network)

    def learn(workload: Workload, clock: Any) -> Tensor:
        nonlocal training
        if request.v1 and training.done % request.iterations == 0:
            build().to(device).train()
            training = Training(network)
        loss = detection_loss(workload.model(images), labels, network.anchors, training.progress)
        training.update(loss * request.batch / NOMINAL_BATCH, clock)
        return loss.detach()

    return Workload(model=network, inputs=(images,), items=request.batch, step=learn)
