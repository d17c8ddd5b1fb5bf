"""Every model of the suite `timm`: the lists it stands on, its description, its numbers, and real steps.

Whole models are built on the meta device, which costs nothing; `make test-full` builds and runs all of them.
"""

import importlib

import pytest

from harness import facts
from harness.benchmark import load
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
pytest.importorskip("timm")

SUITE = load("timm")
CURRENT = """
adv_inception_v3:128:1 beit_base_patch16_224:128:2 convnextv2_nano.fcmae_ft_in22k_in1k:128:1
deit_base_distilled_patch16_224:128:2 deit_tiny_patch16_224.fb_in1k:128:1 dm_nfnet_f0:128:1 ghostnet_100:512:1
inception_v3:128:1 mobilenetv2_100:128:1 mobilenetv3_large_100:512:1 mobilevit_s:128:2 nfnet_l0:128:1
repvgg_a2:128:1 swin_base_patch4_window7_224:128:2 tf_efficientnet_b0:128:1 visformer_small:128:1
vit_base_patch14_dinov2.lvd142m:128:1 vit_base_patch16_siglip_256:128:1
"""
"""The list of today: name, the list's number, its divisor."""
LIST_2025 = """
adv_inception_v3:128 beit_base_patch16_224:128 botnet26t_256:128 cait_m36_384:8 coat_lite_mini:128 convit_base:128
convmixer_768_32:64 convnext_base:128 crossvit_9_240:128 cspdarknet53:128 deit_base_distilled_patch16_224:128
dla102:128 dm_nfnet_f0:128 dpn107:64 eca_botnext26ts_256:128 eca_halonext26ts:128 ese_vovnet19b_dw:128
fbnetc_100:128 fbnetv3_b:128 gernet_l:128 ghostnet_100:128 gluon_inception_v3:128 gluon_xception65:64
gmixer_24_224:128 gmlp_s16_224:128 hrnet_w18:128 inception_v3:128 jx_nest_base:128 lcnet_050:128 levit_128:128
mixer_b16_224:128 mixnet_l:128 mnasnet_100:128 mobilenetv2_100:128 mobilenetv3_large_100:128 mobilevit_s:128
nfnet_l0:128 pit_b_224:128 pnasnet5large:32 poolformer_m36:128 regnety_002:128 repvgg_a2:128 res2net101_26w_4s:128
res2net50_14w_8s:128 res2next50:128 resmlp_12_224:128 resnest101e:128 rexnet_100:128 sebotnet33ts_256:128
selecsls42b:128 spnasnet_100:128 swin_base_patch4_window7_224:128 swsl_resnext101_32x16d:64 tf_efficientnet_b0:128
tf_mixnet_l:128 tinynet_a:128 tnt_s_patch16_224:128 twins_pcpvt_base:128 visformer_small:128
vit_base_patch16_224:128 volo_d1_224:128 xcit_large_24_p8_224:23
"""
"""The list before October 2025."""
CPU = """
adv_inception_v3:128 beit_base_patch16_224:64 convnextv2_nano.fcmae_ft_in22k_in1k:128
deit_base_distilled_patch16_224:64 deit_tiny_patch16_224.fb_in1k:128 dm_nfnet_f0:128 ghostnet_100:128
inception_v3:128 mobilenetv2_100:32 mobilenetv3_large_100:32 mobilevit_s:256 nfnet_l0:128 repvgg_a2:128
swin_base_patch4_window7_224:64 tf_efficientnet_b0:128 visformer_small:128 vit_base_patch14_dinov2.lvd142m:128
vit_base_patch16_siglip_256:128
"""
"""The batch sizes of the file for CPUs."""
SOME = ("mobilenetv2_100", "deit_tiny_patch16_224.fb_in1k", "ghostnet_100")
"""Models that are quick to build: one without classes of layers in common with another."""
STEPS = [(name, type) for name, entry in SUITE.items() for type in entry.description.types]

each = pytest.mark.parametrize("name", SUITE)


def test_the_list_of_today_has_its_models_and_batch_sizes():
    assert batches("timm", "current") == published(CURRENT)


def test_the_list_of_2025_has_its_models_and_its_own_numbers_where_today_has_none():
    found, then, today = batches("timm", "2025"), published(LIST_2025), published(CURRENT)
    assert found == {name: today.get(name, batch) for name, batch in then.items()}
    assert len(then) == 62


def test_every_model_is_on_a_list():
    assert set(SUITE) == set(published(CURRENT)) | set(published(LIST_2025))


def test_the_size_for_cpus_has_the_files_batch_sizes():
    assert batches("timm", "current", "cpu") == published(CPU)


@each
def test_a_description_is_whole(name):
    description = SUITE[name].description
    assert {"small", "current"} <= set(description.sizes) <= {"small", "current", "cpu"}
    check_description(description)


def test_importing_the_suite_does_not_import_torch():
    assert libraries_loaded_by("timm") == "set()"


def test_what_the_benchmarks_need_can_be_preloaded():
    for module in {need for entry in SUITE.values() for need in entry.description.needs}:
        importlib.import_module(module)


def _check_parameters(name):
    for size, count in SUITE[name].description.parameters.items():
        assert facts.parameters(meta(name, "eval", size, suite="timm").networks()) == count, size


@pytest.mark.parametrize("name", [*SOME, "beit_base_patch16_224", "gluon_xception65"])
def test_parameters_are_as_described(name):
    _check_parameters(name)


@FULL
@each
def test_parameters_of_every_model_are_as_described(name):
    _check_parameters(name)


@pytest.mark.parametrize("type", ["eval", "train"])
@pytest.mark.parametrize("name", SOME)
def test_a_small_step_runs_again_and_again_and_is_finite(name, type):
    check_steps(*build(name, type, suite="timm"))


@FULL
@pytest.mark.parametrize(("name", "type"), STEPS)
def test_a_small_step_of_every_model_runs_again_and_again_and_is_finite(name, type):
    check_steps(*build(name, type, suite="timm"))


def test_images_are_whole_numbers_scaled_to_mean_0_and_deviation_1():
    (images,) = build("mobilenetv2_100", "eval", suite="timm")[0].inputs
    assert images.shape == (2, 3, 64, 64)
    assert abs(float(images.mean())) < 1e-4
    assert float(images.std()) == pytest.approx(1, abs=1e-4)
    assert len(images.unique()) <= 256


def test_a_seed_gives_the_same_images_and_weights():
    one, two, other = (build("mobilenetv2_100", "eval", suite="timm", seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(*one.inputs, *two.inputs)
    assert not torch.equal(*one.inputs, *other.inputs)
    assert all(torch.equal(*pair) for pair in zip(one.model.parameters(), two.model.parameters(), strict=True))


def test_images_are_larger_in_evaluation_where_the_weights_were_tested_so():
    assert meta("dm_nfnet_f0", "train", "current", suite="timm").inputs[0].shape == (128, 3, 192, 192)
    assert meta("dm_nfnet_f0", "eval", "current", suite="timm").inputs[0].shape == (128, 3, 256, 256)


OUTPUT = [[1.0, 3.0], [5.0, 7.0]]


@pytest.mark.parametrize(("name", "expected"), [("mobilenetv2_100", 4), ("mobilevit_s", 0.004)])
def test_the_loss_is_the_mean_of_the_output(name, expected):
    workload, _ = build(name, "train", suite="timm")
    assert float(workload.loss(torch.tensor(OUTPUT))) == pytest.approx(expected)


def test_the_loss_of_2022_is_cross_entropy():
    workload, request = build("mobilenetv2_100", "train", suite="timm", compat="dynamo-2022")
    assert float(workload.loss(torch.zeros(request.batch, 1000))) == pytest.approx(6.9078, abs=1e-3)


@pytest.mark.parametrize(("name", "optimizer"), [("mobilenetv2_100", "Adam"), ("ghostnet_100", "SGD")])
def test_the_optimizer_is_the_harnesss(name, optimizer):
    workload = meta(name, "train", "small", suite="timm")
    assert type(workload.optimizer).__name__ == optimizer
    assert workload.optimizer.defaults["lr"] == 0.01
    assert workload.optimizer.defaults["foreach"] is True


@pytest.mark.parametrize("type", ["eval", "train"])
def test_the_network_is_in_the_mode_of_its_type(type):
    assert build("mobilenetv2_100", type, suite="timm")[0].model.training is (type == "train")
