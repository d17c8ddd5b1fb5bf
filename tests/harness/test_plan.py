import dataclasses
import os
import pathlib

import pytest

from harness.benchmark import Description
from harness.errors import UserError
from harness.plan import Group, describe_suites, parse_injections, parse_shard, select, shard, without_packages

TINY = str(pathlib.Path(__file__).parents[1] / "suites" / "tiny.py")


def _description(name, suite="here", **changes):
    return Description(name, suite, "TEST", "TEST", {"small": {"batch": 1}, "large": {"batch": 8}}, **changes)


NETS = (
    _description("net"),
    _description("net_wide"),
    _description("talker", types=("eval",), unsupported={"jit": "it cannot be traced", "train": "it has no loss"}),
)


def _select(descriptions=NETS, suites=("here",), **changes):
    options = {"types": ["eval"], "modes": ["eager"], "device": "cpu", "size": "small", "only": None, **changes}
    return select(suites, descriptions, **options)


def _tests(groups):
    return [test for group in groups for test in group.tests]


def test_a_group_is_a_benchmark_in_a_type_on_a_device():
    groups = _select(types=["eval", "train"], modes=["eager", "jit"])
    assert [group.name for group in groups[:2]] == ["here/eval/net/cpu", "here/train/net/cpu"]
    assert groups[0].tests == ("test_eval[net-cpu-eager]", "test_eval[net-cpu-jit]")
    assert groups[1].test("jit") == "test_train[net-cpu-jit]"


def test_what_cannot_run_is_skipped_with_its_reason():
    groups = _select(types=["eval", "train"], modes=["eager", "jit"], only="talker")
    assert [(group.type, group.modes, group.skipped) for group in groups] == [
        ("eval", ("eager",), {"jit": "it cannot be traced"}),
        ("train", (), {"eager": "it has no loss", "jit": "it has no loss"}),
    ]
    assert groups[0].tests == ("test_eval[talker-cpu-eager]", "test_eval[talker-cpu-jit]")


def test_a_size_that_only_some_have_skips_the_others():
    small = dataclasses.replace(NETS[0], sizes={"small": {}})
    groups = _select([small, NETS[1]], size="large")
    assert [(group.modes, group.skipped) for group in groups] == [
        ((), {"eager": "net has no size large"}),
        (("eager",), {}),
    ]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("wide", ["test_eval[net_wide-cpu-eager]"]),
        ("eval.*net", ["test_eval[net-cpu-eager]", "test_eval[net_wide-cpu-eager]"]),
        (r"\[net-", ["test_eval[net-cpu-eager]"]),
        # A whole name is that test and no set of characters.
        ("test_eval[net-cpu-eager]", ["test_eval[net-cpu-eager]"]),
        ("", [f"test_eval[{net.name}-cpu-eager]" for net in NETS]),
    ],
)
def test_only_finds_test_names(only, expected):
    assert _tests(_select(only=only)) == expected


def test_only_can_choose_a_mode():
    (group,) = _select(modes=["eager", "jit"], only="net-cpu-jit")
    assert group.modes == ("jit",)


def test_a_type_that_is_given_twice_counts_once():
    assert _tests(_select(types=["eval", "eval"], only="wide")) == ["test_eval[net_wide-cpu-eager]"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"types": ["evil"]}, "there is no type 'evil'; choose eval"),
        ({"modes": ["eagre"]}, "there is no mode 'eagre'; choose eager"),
        ({"device": "tpu"}, "there is no device 'tpu'; choose cpu"),
        ({"size": "smal"}, "there is no size 'smal'; choose small"),
        ({"wanted_list": "curent"}, "there is no list 'curent'; choose current"),
        (
            {"only": "bert"},
            "no test of here matches the selection --only 'bert'; see the names with `torchwarden list`",
        ),
        ({"only": "talker", "types": ["train"]}, "no test of here matches"),
        ({"only": "net("}, "is not a regular expression"),
        ({"only": "*"}, "is not a regular expression"),
    ],
)
def test_a_wrong_selection_is_one_sentence(changes, sentence):
    with pytest.raises(UserError) as error:
        _select(**changes)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


LISTED = (
    _description("new", lists=("current",)),
    _description("kept", lists=("current", "2025")),
    _description("old", lists=("2025",)),
    _description("mine"),
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["new", "kept", "mine"]),
        ({"wanted_list": "2025"}, ["kept", "old", "mine"]),
        ({"wanted_list": "all"}, ["new", "kept", "old", "mine"]),
    ],
)
def test_a_list_chooses_its_models_and_those_on_no_list(changes, expected):
    assert [group.description.name for group in _select(LISTED, **changes)] == expected


def test_two_suites_with_the_same_test_cannot_share_a_run():
    both = (*NETS, _description("net", "there"))
    with pytest.raises(UserError, match=r"both here and there have a test test_eval\[net-cpu-eager\]"):
        _select(both, ("here", "there"))
    assert len(_select(both, ("here", "there"), only="wide|talker")) == 2


GROUPS = (
    Group("here", NETS[0], "eval", "cpu", "small", ("eager",), {"jit": "no"}),
    Group("here", NETS[1], "eval", "cpu", "small", ("eager",), {}),
)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], {}),
        (["test_eval[net-cpu-eager]=10%"], {"test_eval[net-cpu-eager]": 0.1}),
        (
            ["test_eval[net-cpu-eager]=0.1%", "test_eval[net_wide-cpu-eager]= 2.5 %"],
            {"test_eval[net-cpu-eager]": 0.001, "test_eval[net_wide-cpu-eager]": 0.025},
        ),
        (["test_eval[net-cpu-eager]=1000%"], {"test_eval[net-cpu-eager]": 10.0}),
    ],
)
def test_injections_are_percents_by_test(entries, expected):
    assert parse_injections(entries, GROUPS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("test_eval[net-cpu-eager]", "is not of the form"),
        ("=10%", "is not of the form"),
        ("test_eval[net-cpu-eager]=10", "is not of the form"),
        ("test_eval[net-cpu-eager]=ten%", "is not of the form"),
        ("test_eval[net-cpu-eager]=-10%", "is not of the form"),
        ("test_eval[net-cpu-eager]=nan%", "is not of the form"),
        ("test_eval[net-cpu-eager]=", "is not of the form"),
        ("", "is not of the form"),
        ("test_eval[net-cpu-eager]=0%", "must be between 0.1 % and 1000 %"),
        ("test_eval[net-cpu-eager]=1001%", "must be between 0.1 % and 1000 %"),
        (
            "test_eval[nett-cpu-eager]=10%",
            "there is no test 'test_eval[nett-cpu-eager]'; choose test_eval[net-cpu-eager]",
        ),
    ],
)
def test_a_wrong_injection_is_one_sentence(entry, sentence):
    with pytest.raises(UserError) as error:
        parse_injections([entry], GROUPS)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_users_file_is_described_in_order_with_all_it_says():
    perceptron, autoencoder = describe_suites([TINY])
    assert (perceptron.name, perceptron.suite, perceptron.summary) == ("perceptron", "tiny", "Three layers.")
    assert perceptron.sizes == {"small": {"batch": 16}, "tiny": {"batch": 2}}
    assert (perceptron.types, perceptron.devices, perceptron.needs) == (("eval", "train"), ("cpu", "cuda"), ())
    assert autoencoder.unsupported == {"cuda": "it is for CPUs"}


def test_a_users_file_stands_beside_a_built_in_suite():
    names = [(it.suite, it.name) for it in describe_suites(["smoke", TINY])]
    assert ("smoke", "resnet18") in names
    assert names[-2:] == [("tiny", "perceptron"), ("tiny", "autoencoder")]
    (group,) = select(
        ["smoke", TINY],
        describe_suites(["smoke", TINY]),
        types=["eval"],
        modes=["eager"],
        device="cpu",
        size="small",
        only="perceptron",
    )
    assert group.suite == TINY


@pytest.mark.parametrize(
    ("files", "suites", "sentence"),
    [
        ({}, ["smok"], "there is no suite 'smok'; choose smoke or the path of a file ending in .py"),
        ({}, ["absent.py"], "there is no suite file"),
        ({"smoke.py": ""}, ["smoke.py"], "more than one suite is named smoke"),
        ({"a.py": "", "x/a.py": ""}, ["a.py", "x/a.py"], "more than one suite is named a"),
        ({}, ["smoke", "smoke"], "more than one suite is named smoke"),
        ({"a.py": "import a_module_that_is_nowhere"}, ["a.py"], "No module named 'a_module_that_is_nowhere'"),
        ({"a.py": "def f(:"}, ["a.py"], "SyntaxError"),
        ({"a.py": "raise SystemExit('no')"}, ["a.py"], "does not load (no)"),
        ({"a.py": ""}, ["a.py"], "registers no benchmark"),
        ({"a.py": "import os; os._exit(3)"}, ["a.py"], "does not load (no message)"),
        (
            {
                "a.py": "from harness.benchmark import benchmark\n"
                "for _ in range(2):\n"
                "    benchmark('b', category='T', domain='T', sizes={'small': {}})(print)\n"
            },
            ["a.py"],
            "two benchmarks named b",
        ),
        (
            {
                "a.py": "from harness.benchmark import benchmark\n"
                "benchmark('b', category='T', domain='T', sizes={'small': {'batch': {1, 2}}})(print)\n"
            },
            ["a.py"],
            "not JSON serializable",
        ),
    ],
)
def test_a_suite_that_cannot_be_described_is_one_sentence(tmp_path, files, suites, sentence):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        describe_suites([str(tmp_path / suite) if suite.endswith(".py") else suite for suite in suites])
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_what_a_suite_prints_at_import_is_not_taken_for_its_description(tmp_path):
    (tmp_path / "loud.py").write_text(
        "import atexit, sys\n"
        "from harness.benchmark import benchmark\n"
        "print('hello')\n"
        "print('[]', file=sys.stderr)\n"
        "benchmark('b', category='T', domain='T', sizes={'small': {}})(print)\n"
    )
    (described,) = describe_suites([str(tmp_path / "loud.py")])
    assert described.name == "b"


def test_a_suite_may_bear_the_name_of_a_package_and_import_its_neighbours(tmp_path):
    (tmp_path / "neighbour.py").write_text("NAME = 'b'\n")
    (tmp_path / "json.py").write_text(
        "import json, neighbour\n"
        "from harness.benchmark import benchmark\n"
        "json.dumps({})\n"
        "benchmark(neighbour.NAME, category='T', domain='T', sizes={'small': {}})(print)\n"
    )
    (described,) = describe_suites([str(tmp_path / "json.py")])
    assert (described.suite, described.name) == ("json", "b")


def test_a_suite_is_read_with_the_environment_it_will_run_in(tmp_path):
    (tmp_path / "reads.py").write_text(
        "import os\n"
        "from harness.benchmark import benchmark\n"
        "benchmark(os.environ['NAME'], category='T', domain='T', sizes={'small': {}})(print)\n"
    )
    (described,) = describe_suites([str(tmp_path / "reads.py")], environment={**os.environ, "NAME": "given"})
    assert described.name == "given"


def test_modes_in_a_precision_and_of_a_users_are_selected_like_any_other():
    (group, _) = _select(modes=["inductor_bf16", "their.module:fast_amp"], only="net")
    assert group.tests == ("test_eval[net-cpu-inductor_bf16]", "test_eval[net-cpu-their.module:fast_amp]")


@pytest.mark.parametrize("mode", ["inductor_fp8", "their.module:", "magic"])
def test_a_mode_that_is_none_is_an_error_that_says_what_there_is(mode):
    with pytest.raises(UserError, match=r"there is no mode .*module:function"):
        _select(modes=[mode])


def test_a_mode_that_a_device_or_type_cannot_is_skipped_and_what_a_benchmark_cannot_holds_in_every_precision():
    groups = _select(
        types=["eval", "train"], modes=["cudagraphs", "aot_inductor", "jit_bf16"], only="^test_eval.talker|net-"
    )
    skipped = {group.name: dict(group.skipped) for group in groups}
    assert skipped["here/eval/net/cpu"] == {"cudagraphs": "the mode cudagraphs needs a device of cuda"}
    assert skipped["here/train/net/cpu"]["aot_inductor"] == "the mode aot_inductor has no train step"
    assert skipped["here/eval/talker/cpu"]["jit_bf16"] == "it cannot be traced"


def test_a_mode_is_skipped_where_a_build_lacks_its_packages():
    groups = _select(modes=["eager", "onnxrt"], only="net-")
    (group,) = without_packages(groups, [{"onnxruntime": "1", "onnxscript": "1"}, {"torch": "2", "onnxscript": "1"}])
    assert group.modes == ("eager",)
    assert group.skipped == {"onnxrt": "the mode onnxrt needs onnxruntime, which a build lacks"}
    (group,) = without_packages(groups, [{"onnxruntime": "1", "onnxscript": "1"}])
    assert group.modes == ("eager", "onnxrt")


def _many(count):
    return _select([_description(f"net{number:02}") for number in range(count)])


@pytest.mark.parametrize("durations", [{}, {"test_eval[net03-cpu-eager]": 100.0, "test_eval[net04-cpu-eager]": 30.0}])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_hold_every_group_once_in_its_order(count, durations):
    groups = _many(10)
    parts = [shard(groups, number, count, durations) for number in range(1, count + 1)]
    assert sorted(group.name for part in parts for group in part) == [group.name for group in groups]
    for part in parts:
        assert part == [group for group in groups if group in part]
    assert parts == [shard(groups, number, count, durations) for number in range(1, count + 1)]


def test_shards_take_about_equally_long():
    groups = _many(20)
    durations = {group.tests[0]: 1.0 + 50.0 * (number % 5 == 0) for number, group in enumerate(groups)}
    loads = [sum(durations[group.tests[0]] for group in shard(groups, number, 4, durations)) for number in range(1, 5)]
    assert max(loads) < 1.1 * sum(loads) / 4


def test_a_group_that_was_never_measured_counts_as_the_others_do():
    groups = _many(4)
    durations = {group.tests[0]: 10.0 for group in groups[:3]}
    assert [len(shard(groups, number, 2, durations)) for number in (1, 2)] == [2, 2]


def test_more_shards_than_groups_are_refused():
    with pytest.raises(UserError, match="3 benchmarks do not make 4 shards"):
        shard(_many(3), 1, 4, {})


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "a/b", "1/4/2", "-1/4", "1.5/4"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UserError, match="write the first of four as 1/4"):
        parse_shard(text)


def test_a_shard_is_written_as_a_fraction():
    assert parse_shard("2/4") == (2, 4)
