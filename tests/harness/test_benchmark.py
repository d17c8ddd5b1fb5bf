import contextlib
import importlib
import json
import pathlib
import subprocess
import sys

import pytest

import harness.benchmark as registry
from harness.benchmark import Description, Request, benchmark, describe, is_file, load, suite_name

ROOT = pathlib.Path(registry.__file__).resolve().parents[1]
TASK = {"category": "OTHER", "domain": "OTHER_TASKS"}
SIZES = {"small": {"batch": 2}}

USER_FILE = '''
import torch

from harness.benchmark import Workload, benchmark
from neighbour_of_the_suite import WIDTH


@benchmark(
    "tiny",
    category="OTHER",
    domain="OTHER_TASKS",
    sizes={"small": {"batch": 3, "widths": (4, 2)}},
    types=["eval"],
    unsupported={"jit": "no reason"},
    needs=["torch"],
    parameters=10,
)
def tiny(request):
    """One linear layer.

    More words.
    """
    model = torch.nn.Linear(WIDTH, 2).eval()
    return Workload(model=model, inputs=(torch.zeros(request.batch, WIDTH),), items=request.batch)
'''


@pytest.fixture
def empty_registry(monkeypatch):
    """The test's own registry: what it registers must not reach other tests."""
    # Imported for the first time while sys.modules is a copy, torch does not find its own modules and may crash.
    with contextlib.suppress(ImportError):
        importlib.import_module("torch")
    monkeypatch.setattr(registry, "_REGISTRY", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


@pytest.fixture
def user_file(tmp_path):
    (tmp_path / "neighbour_of_the_suite.py").write_text("WIDTH = 4\n")
    path = tmp_path / "my_own_suite.py"
    path.write_text(USER_FILE)
    return path


def of(**changes):
    return Description(**({"name": "net", "suite": "s", "sizes": SIZES, **TASK} | changes))


def registered(name, **keywords):
    @benchmark(name, **({"sizes": SIZES, **TASK} | keywords))
    def build(request):
        """The first line.

        The rest.
        """

    (entry,) = (entries[name] for entries in registry._REGISTRY.values() if name in entries)
    return entry


def test_a_registration_keeps_what_the_decorator_was_told(empty_registry):
    entry = registered("net", types=["eval"], devices=["cuda"], unsupported={"jit": "why"}, needs=["timm"])
    assert entry.description == Description(
        name="net",
        suite="test_benchmark",
        category="OTHER",
        domain="OTHER_TASKS",
        sizes={"small": {"batch": 2}},
        types=("eval",),
        devices=("cuda",),
        unsupported={"jit": "why"},
        needs=("timm",),
        summary="The first line.",
    )


def test_parameters_are_one_number_for_all_sizes_or_one_for_each(empty_registry):
    sizes = {"small": {}, "v1": {}}
    assert registered("a", sizes=sizes, parameters=7).description.parameters == {"small": 7, "v1": 7}
    assert registered("b", sizes=sizes, parameters={"v1": 9}).description.parameters == {"v1": 9}
    assert registered("c", sizes=sizes).description.parameters == {}
    with pytest.raises(ValueError, match="unknown sizes huge"):
        registered("d", sizes=sizes, parameters={"huge": 9})


def test_the_decorated_function_stays_usable(empty_registry):
    def build(request):
        return request

    assert benchmark("net", sizes=SIZES, **TASK)(build) is build


def test_a_description_does_not_follow_later_changes_of_the_suites_own_tables(empty_registry):
    sizes = {"small": {"batch": 2}}
    entry = registered("net", sizes=sizes)
    sizes["small"]["batch"] = 99
    assert entry.description.sizes["small"]["batch"] == 2


def test_two_benchmarks_of_one_suite_cannot_share_a_name(empty_registry):
    registered("net")
    with pytest.raises(ValueError, match="two benchmarks named net"):
        registered("net")


def test_two_suites_may_have_the_same_benchmark(empty_registry):
    def build(request):
        pass

    for module in ("one", "two"):
        build.__module__ = module
        benchmark("net", sizes=SIZES, **TASK)(build)
    assert [entry.suite for entry in describe(["one", "two"])] == ["one", "two"]


@pytest.mark.parametrize("name", ["", "a b", "a[b", "a]b", "a/b", "a\nb", "a\tb"])
def test_names_that_would_break_the_test_name_are_refused(empty_registry, name):
    with pytest.raises(ValueError, match="brackets, slashes or spaces"):
        registered(name)


@pytest.mark.parametrize("name", ["resnet18", "pytorch_CycleGAN_and_pix2pix", "vit-b-16", "squeezenet1_1"])
def test_names_of_the_known_suites_are_accepted(empty_registry, name):
    assert registered(name).description.name == name


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sizes": {}}, "at least one size"),
        ({"types": ["eval", "infer"]}, "unknown type 'infer'"),
        ({"devices": ["tpu"]}, "unknown device 'tpu'"),
        ({"lists": ["2026"]}, "unknown list '2026'"),
    ],
)
def test_unsound_descriptions_are_refused_when_registered(empty_registry, wrong, words):
    with pytest.raises(ValueError, match=words):
        registered("net", **wrong)


@pytest.mark.parametrize(
    ("module", "suite"),
    [
        ("harness.suites.smoke", "smoke"),
        ("harness.suites.torchbench.vision", "torchbench"),
        ("my_own_suite", "my_own_suite"),
        ("package.my_own_suite", "my_own_suite"),
    ],
)
def test_a_benchmark_belongs_to_the_suite_of_its_module(empty_registry, module, suite):
    def build(request):
        pass

    build.__module__ = module
    benchmark("net", sizes=SIZES, **TASK)(build)
    assert list(registry._REGISTRY) == [suite]


@pytest.mark.parametrize(
    ("unsupported", "asked", "reason"),
    [
        ({}, ("eval", "cpu", "eager"), None),
        ({"jit": "R"}, ("eval", "cpu", "jit"), "R"),
        ({"jit": "R"}, ("eval", "cpu", "eager"), None),
        ({"train": "R"}, ("train", "cuda", "eager"), "R"),
        ({"train": "R"}, ("eval", "cuda", "eager"), None),
        ({"cuda-train": "R"}, ("train", "cuda", "eager"), "R"),
        ({"cuda-train": "R"}, ("train", "cpu", "eager"), None),
        ({"cuda-train": "R"}, ("eval", "cuda", "eager"), None),
        ({"eval-cpu-jit": "R"}, ("eval", "cpu", "jit"), "R"),
        ({"eval-cpu-jit": "R"}, ("train", "cpu", "jit"), None),
        ({"cpu": "A", "jit": "B"}, ("eval", "cuda", "jit"), "B"),
        ({"inductor_cudagraphs": "R"}, ("eval", "cuda", "inductor"), None),
    ],
)
def test_why_not_gives_the_reason_only_where_every_facet_holds(unsupported, asked, reason):
    assert of(unsupported=unsupported).why_not(*asked) == reason


def test_why_not_names_a_missing_type_and_a_missing_device():
    only_eval_on_cuda = of(types=("eval",), devices=("cuda",))
    assert only_eval_on_cuda.why_not("eval", "cuda", "eager") is None
    assert only_eval_on_cuda.why_not("train", "cuda", "eager") == "net has no train step"
    assert only_eval_on_cuda.why_not("eval", "cpu", "eager") == "net does not run on cpu"


def test_why_not_prefers_the_suites_own_reason_for_a_missing_type():
    assert of(types=("eval",), unsupported={"train": "no parameters"}).why_not("train", "cpu", "eager") == (
        "no parameters"
    )


@pytest.mark.parametrize(
    ("size", "type", "batch"),
    [
        ({}, "eval", 1),
        ({}, "train", 1),
        ({"batch": 4}, "eval", 4),
        ({"batch": 4}, "train", 4),
        ({"batch": 4, "train_batch": 32}, "eval", 4),
        ({"batch": 4, "train_batch": 32}, "train", 32),
        ({"train_batch": 32}, "eval", 1),
    ],
)
def test_the_batch_of_a_request(size, type, batch):
    assert Request(type, "cpu", size).batch == batch


@pytest.mark.parametrize(
    ("type", "size", "wanted", "iterations"),
    [
        ("train", {}, None, 1),
        ("train", {"iterations": 3}, None, 3),
        ("train", {"iterations": 3}, 2, 2),
        ("eval", {"iterations": 3}, 2, 1),
    ],
)
def test_the_iterations_of_a_request(type, size, wanted, iterations):
    assert Request(type, "cpu", size, wanted_iterations=wanted).iterations == iterations


def test_the_mistakes_of_v1_are_made_only_when_asked_for():
    assert not Request("eval", "cpu", {}).v1
    assert Request("eval", "cpu", {}, compat="v1").v1


@pytest.mark.parametrize(("suite", "name", "file"), [("smoke", "smoke", False), ("a/b/mine.py", "mine", True)])
def test_a_suite_is_named_by_itself_or_by_a_files_stem(suite, name, file):
    assert suite_name(suite) == name
    assert is_file(suite) is file


def test_an_unknown_suite_is_named_in_the_error(empty_registry):
    with pytest.raises(LookupError, match="no suite named smoek"):
        load("smoek")


@pytest.mark.parametrize("suite", registry.BUILTIN_SUITES)
def test_every_builtin_suite_loads_and_keeps_its_name(suite):
    entries = load(suite)
    assert entries
    assert {entry.description.suite for entry in entries.values()} == {suite}
    assert load(suite) is entries


def test_a_users_file_is_a_suite(empty_registry, user_file):
    torch = pytest.importorskip("torch")
    entries = load(str(user_file))
    workload = entries["tiny"].build(Request("eval", "cpu", entries["tiny"].description.sizes["small"]))
    assert entries["tiny"].description.suite == "my_own_suite"
    assert workload.model(*workload.inputs).shape == torch.Size([3, 2])


def test_a_users_file_cannot_shadow_the_build_under_test(empty_registry, user_file):
    load(str(user_file))
    assert sys.path[-1] == str(user_file.parent)
    assert sys.path[0] != str(user_file.parent)


def test_a_users_file_is_imported_once(empty_registry, user_file):
    assert load(str(user_file)) is load(str(user_file))


def test_what_a_users_file_raises_is_not_hidden(empty_registry, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("raise RuntimeError('mine')\n")
    with pytest.raises(RuntimeError, match="mine"):
        load(str(path))


def test_a_missing_file_raises(empty_registry, tmp_path):
    with pytest.raises(FileNotFoundError):
        load(str(tmp_path / "nowhere.py"))


def described_by_module(*suites):
    return subprocess.run(
        [sys.executable, "-m", "harness.benchmark", *map(str, suites)], cwd=ROOT, capture_output=True, text=True
    )


def test_a_users_file_is_described_in_another_interpreter(user_file):
    pytest.importorskip("torch")
    done = described_by_module(user_file)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {
            "name": "tiny",
            "suite": "my_own_suite",
            "category": "OTHER",
            "domain": "OTHER_TASKS",
            "sizes": {"small": {"batch": 3, "widths": [4, 2]}},
            "types": ["eval"],
            "devices": ["cpu", "cuda"],
            "unsupported": {"jit": "no reason"},
            "needs": ["torch"],
            "summary": "One linear layer.",
            "parameters": {"small": 10},
            "nondeterministic": "",
            "tolerances": {},
            "lists": [],
            "packages": [],
            "answers": "",
            "weights": "random",
        }
    ]


def test_the_described_json_makes_descriptions_again():
    done = described_by_module("smoke")
    assert done.returncode == 0, done.stderr
    again = [Description(**entry) for entry in json.loads(done.stdout)]
    assert [entry.name for entry in again] == [entry.name for entry in describe(["smoke"])]


def test_describing_a_file_that_cannot_be_imported_fails_with_its_error(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import a_package_nobody_has\n")
    done = described_by_module(path)
    assert done.returncode != 0
    assert "a_package_nobody_has" in done.stderr
    assert done.stdout == ""


def test_the_registry_needs_the_standard_library_only():
    code = (
        "import sys, harness.benchmark; "
        "foreign = [m for m in sys.modules if m.partition('.')[0] not in {*sys.stdlib_module_names, 'harness'}]; "
        "print([m for m in foreign if sys.modules[m].__spec__ and 'site-packages' in str(sys.modules[m].__file__)])"
    )
    # -S: what a .pth file of the environment imports at start is not the registry's doing.
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
