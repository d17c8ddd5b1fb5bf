from __future__ import annotations

import contextlib
import pathlib
import re
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import config, configkeys, configwords, yamlstructs
from bot.config import Config, parse
from harness.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
SCHEMA = config.json_schema()

SMALL = """\
version: 1
suites:
  smoke: {}
machines:
  hosted:
    runs-on: [ubuntu-24.04]
"""

FULL = """\
# everything
version: 1
suites:
  torchbench:
    size: small
    types: [eval]
    modes: [eager, inductor, jit]
    precisions: [float32, bf16]
    only: "resnet|bert"
    compat: v1
    iterations: 3
    accuracy: true
    when: [nightly]
    machines: [gpu]
  timm:
    list: all
  my_suite:
    file: benchmarks/my_suite.py
machines:
  hosted:
    runs-on: [ubuntu-24.04]
    threads: 2
    cpus: "2,3"
    budget: 30s
    total-budget: 1h
    shards: 4
    precision: 0.5%
    nurseries: 3
    environment:
      OMP_PROC_BIND: "true"
  gpu:
    runs-on: [self-hosted, linux, gpu]
    device: cuda
    cpu-preset: physical-cores
    allocator: jemalloc
    container: ghcr.io/me/torch@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
builds:
  base: git:{base}
  head: git:{head}
  nightly: nightly
  install: |
    pip install -r requirements.txt
    pip install -e .
  with: [numpy, "timm>=1.0,<2"]
policy:
  rule: torchwarden
  threshold: 7%
  score-threshold: 1%
  false-discovery-rate: 5%
  tests:
    "test_train[*]": 10%
    "torchbench/dcgan": 15%
  mode: gate
  confirm:
    enabled: true
    budget: 2m
comment: on-change
nightly:
  base: torch==2.13.0
  clean-nights: 5
  window: 14
owners:
  - match: "torchbench/"
    owners: ["@me", "@org/team"]
  - match: "*"
    owners: []
permissions:
  allow: [alice, bob-the-2nd]
  forks: maintain
storage:
  branch: perf/history
  references: perf/reference
  pages: true
"""


def with_line(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


REFUSED: list[tuple[str, str]] = [
    ("", "1: the key version is missing"),
    ("- a\n", "is not a mapping"),
    (SMALL + "  suits: {}\n", "the key runs-on in machines.suits is missing"),
    (SMALL + "suits: {}\n", "7: there is no key 'suits'; did you mean suites"),
    (SMALL + "version: 1\n", "7: 'version' stands a second time, first in line 1"),
    (with_line(SMALL, "version: 1", "version: 2"), "1: version is '2'; choose 1"),
    (with_line(SMALL, "version: 1", 'version: "1"'), "1: version is '1'"),
    (
        with_line(SMALL, "smoke: {}", "smoke: {tipes: [eval]}"),
        "3: there is no key 'tipes' in suites.smoke; did you mean types",
    ),
    (with_line(SMALL, "smoke: {}", "smoke: {types: [evil]}"), "suites.smoke.types[0] is 'evil'; did you mean eval"),
    (
        with_line(SMALL, "smoke: {}", "smoke: {types: eval}"),
        "suites.smoke.types is not a list; write one, such as [eval]",
    ),
    (with_line(SMALL, "smoke: {}", "smoke: {types: []}"), "suites.smoke.types is empty"),
    (
        with_line(SMALL, "smoke: {}", "smoke: {modes: [egaer]}"),
        "3: suites.smoke.modes: there is no mode 'egaer'; choose eager",
    ),
    (with_line(SMALL, "smoke: {}", "smoke: {accuracy: yes}"), "suites.smoke.accuracy is 'yes'; write true or false"),
    (with_line(SMALL, "smoke: {}", "smoke: {iterations: 1.5}"), "write a whole number from 1 to 1000000"),
    (with_line(SMALL, "smoke: {}", "smoke: {iterations: 0}"), "write a whole number from 1 to 1000000"),
    (with_line(SMALL, "smoke: {}", "smoke: {only: '('}"), "which is not a regular expression"),
    (with_line(SMALL, "smoke: {}", "smoke: {size: }"), "suites.smoke.size has no value"),
    (with_line(SMALL, "smoke: {}", "smoke: {machines: [hostd]}"), "there is no machine 'hostd'; choose hosted"),
    (with_line(SMALL, "smoke: {}", "smoke: [a]"), "suites.smoke is not a mapping"),
    (with_line(SMALL, "smoke: {}", "smok: {}"), "3: suites.smok is not a built-in suite (smoke, torchbench"),
    (with_line(SMALL, "smoke: {}", "Smoke: {}"), "a name in suites is 'Smoke'; write at most 28 small letters"),
    (with_line(SMALL, "hosted:", "a--b:"), "a name in machines is 'a--b'"),
    (with_line(SMALL, "hosted:", f"{'a' * 29}:"), "write at most 28 small letters"),
    (
        with_line(SMALL, "smoke: {}", "my: {file: ../my.py}"),
        "suites.my.file is '../my.py'; write a Python file in this",
    ),
    (with_line(SMALL, "smoke: {}", "my: {file: /etc/my.py}"), "suites.my.file is '/etc/my.py'"),
    (with_line(SMALL, "smoke: {}", "my: {file: a/../my.py}"), "suites.my.file is"),
    (with_line(SMALL, "smoke: {}", "my: {file: other.py}"), "a suite of yours has the name of its file"),
    (with_line(SMALL, "smoke: {}", "smoke: {file: smoke.py}"), "and no built-in one's"),
    (with_line(SMALL, "  smoke: {}\n", ""), "suites is empty; name at least 1"),
    (
        with_line(SMALL, "ubuntu-24.04", "'${{ x }}'"),
        "machines.hosted.runs-on[0] is '${{ x }}'; write a runner's label",
    ),
    (
        with_line(SMALL, "[ubuntu-24.04]", "ubuntu"),
        "machines.hosted.runs-on is not a list; write one, such as [ubuntu]",
    ),
    (
        with_line(SMALL, "    runs-on: [ubuntu-24.04]\n", "    device: cpu\n"),
        "the key runs-on in machines.hosted is missing",
    ),
    (SMALL + "    device: gpu\n", "7: machines.hosted.device is 'gpu'; "),
    (SMALL + "    budget: 20\n", "machines.hosted.budget is '20'; write a duration such as 60s"),
    (SMALL + "    budget: 0s\n", "7: machines.hosted.budget: '0s' is out of range"),
    (SMALL + "    precision: 200%\n", "machines.hosted.precision: '200%' is out of range"),
    (SMALL + "    cpus: 4-2\n", "7: machines.hosted.cpus: '4-2' is not a list of CPUs"),
    (SMALL + "    cpu-preset: numa-node\n    threads: 2\n", "5: machines.hosted has a cpu-preset"),
    (SMALL + "    shards: 257\n", "write a whole number from 1 to 256"),
    (SMALL + "    container: torch:latest\n", "an image with its digest"),
    (SMALL + "    environment: {PATH: x}\n", "is 'PATH'; write a variable"),
    (SMALL + "    environment: {GITHUB_TOKEN: x}\n", "is 'GITHUB_TOKEN'"),
    (SMALL + "builds: {base: 'git:$(id)'}\n", "builds.base is 'git:$(id)'"),
    (SMALL + "builds: {base: /usr/bin/python}\n", "builds.base is '/usr/bin/python'"),
    (SMALL + "builds: {base: 'git:--upload-pack=x'}\n", "builds.base is"),
    (SMALL + "builds: {nightly: 'git:{base}'}\n", "7: builds.nightly is git:{base}, and a night has no merge base"),
    (SMALL + "builds: {with: ['numpy; rm']}\n", "builds.with[0] is 'numpy; rm'"),
    (SMALL + "builds: {with: ['--index-url=x']}\n", "builds.with[0] is"),
    (SMALL + 'builds: {install: "a\\u0007"}\n', "builds.install is"),
    (SMALL + "policy: {threshold: 7}\n", "policy.threshold is '7'; write a percentage with its sign"),
    (SMALL + "policy: {threshold: 0%}\n", "7: policy.threshold: '0%' is out of range"),
    (SMALL + "policy: {mode: gated}\n", "policy.mode is 'gated'; did you mean gate"),
    (SMALL + "policy: {tests: {'a b': 7%}}\n", "a name in policy.tests is 'a b'; write a pattern"),
    (SMALL + "policy: {tests: {resnet: 700%}}\n", "7: policy.tests.resnet: '700%' is out of range"),
    (SMALL + "comment: sometimes\n", "comment is 'sometimes'; choose"),
    (SMALL + "owners: [{match: '*'}]\n", "the key owners in owners[0] is missing"),
    (
        SMALL + "owners: [{match: '*', owners: [me]}]\n",
        "owners[0].owners[0] is 'me'; write @user or @organisation/team",
    ),
    (SMALL + "permissions: {allow: ['@me']}\n", "permissions.allow[0] is '@me'"),
    (SMALL + "permissions: {forks: read}\n", "permissions.forks is 'read'"),
    (SMALL + "storage: {branch: -f}\n", "storage.branch is '-f'"),
    (SMALL + "storage: {branch: a..b}\n", "storage.branch is 'a..b'"),
    (SMALL + "storage: {references: ../x}\n", "storage.references is '../x'"),
    (SMALL + "comment: &a always\n", "7: uses a YAML anchor or alias"),
    (SMALL + "comment: !!str always\n", "7: uses the YAML tag"),
    (SMALL + "comment: [\n", "is not valid YAML"),
    (SMALL + "---\nversion: 1\n", "starts a second document"),
    (SMALL + "? [a]\n: b\n", "has a key that is not text"),
    (SMALL + "builds: {with: [" + "[" * 20 + "]" * 20 + "]}\n", "nested more than 8 levels"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=lambda value: repr(value)[-50:])
def test_a_mistake_is_one_sentence_with_its_line(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text, "t.yml")
    sentence = str(caught.value)
    assert re.match(r"t\.yml:\d+: ", sentence)
    assert words in sentence
    assert "\n" not in sentence and sentence.endswith(".") and not sentence.endswith("..")


def test_what_is_not_said_is_as_documented() -> None:
    found = parse(SMALL)
    assert found.suites["smoke"] == config.Suite()
    assert found.machines["hosted"] == config.Machine(runs_on=("ubuntu-24.04",))
    assert (found.policy.threshold, found.policy.mode, found.comment) == ("7%", "advise", "always")
    assert found == parse(SMALL + "policy:\n  # nothing\nowners: []\n")


def test_everything_that_can_be_said_is_read() -> None:
    found = parse(FULL)
    assert found.machines["gpu"].runs_on == ("self-hosted", "linux", "gpu")
    assert found.builds.install == "pip install -r requirements.txt\npip install -e .\n"
    assert found.builds.with_ == ("numpy", "timm>=1.0,<2")
    assert config.modes(found.suites["torchbench"]) == (
        *("eager", "inductor", "jit"),
        *("eager_bf16", "inductor_bf16", "jit_bf16"),
    )
    assert config.rules(found)[0].owners == ("@me", "@org/team")
    # Every key of every part is used above, so that a new one is tried too.
    assert _keys(yaml.safe_load(FULL)) >= {field for part in _parts() for field in part}


def _parts() -> list[set[str]]:
    kinds = (
        config.Suite,
        config.Builds,
        config.Policy,
        config.Confirm,
        config.Owners,
        config.Permissions,
        config.Storage,
    )
    return [{field.encode_name for field in msgspec.structs.fields(kind)} for kind in kinds]


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for one in value.values() for key in _keys(one)}
    return {key for one in value for key in _keys(one)} if isinstance(value, list) else set()


@pytest.mark.parametrize("text", [SMALL, FULL])
def test_the_schema_takes_what_is_read(text: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(yaml.safe_load(text), SCHEMA, jsonschema.Draft202012Validator)
    # msgspec reads it as we do.
    assert msgspec.convert(yaml.safe_load(text), Config) == parse(text)


def test_the_schema_refuses_most_of_what_is_refused() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    passed = []
    for text, words in REFUSED:
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            continue
        if validator.is_valid(value):
            passed.append(words)
    # What no schema can say: repeated keys, names that must agree, ranges of durations, and YAML itself.
    allowed = (
        *(
            "second time",
            "choose eager",
            "regular expression",
            "no machine",
            "built-in",
            "name of its file",
            "out of range",
        ),
        *("list of CPUs", "cpu-preset", "no merge base", "anchor", "tag", "write true", "builds.install"),
    )
    assert [words for words in passed if not any(one in words for one in allowed)] == []


def test_the_schema_explains_every_key() -> None:
    for name, part in SCHEMA["$defs"].items():
        assert part["additionalProperties"] is False, name
        for key, value in part["properties"].items():
            assert value.get("description", "").endswith("."), f"{name}.{key}"


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["eager", "7%", "20s", "cpu"])
)
KEYS = st.sampled_from(
    [*_keys(yaml.safe_load(FULL)), "x", "", "\n", "{base}"],
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_no_tree_is_more_than_a_sentence(tree: Any) -> None:
    text = yaml.safe_dump({**yaml.safe_load(SMALL), **tree}, allow_unicode=True)
    try:
        found = parse(text, "t.yml")
    except UserError as error:
        assert "\n" not in str(error)
        str(error).encode()
    else:
        jsonschema.validate(yaml.safe_load(text), SCHEMA, jsonschema.Draft202012Validator)
        # Whether a suite has this size is seen where its tests are counted.
        with contextlib.suppress(UserError):
            assert list(configwords.explain(found))


@given(st.text(max_size=200))
def test_no_text_is_more_than_a_sentence(text: str) -> None:
    with pytest.raises(UserError):
        parse(text, "t.yml")


def test_a_file_that_is_none_is_a_sentence(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "torchwarden.yml"
    with pytest.raises(UserError, match="torchwarden init"):
        config.load(path)
    path.write_bytes(SMALL.encode() + b"comment: \xff\n")
    with pytest.raises(UserError, match=r":7: is not UTF-8"):
        config.load(path)
    path.write_bytes(b"#" * (config.MAX_BYTES + 1))
    with pytest.raises(UserError, match="larger than 1 MiB"):
        config.load(path)
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert config.load(path) == parse(SMALL)


def test_the_line_of_a_key_is_found() -> None:
    assert (
        yamlstructs.line(FULL, "t", ("machines", "hosted", "budget")) == FULL.splitlines().index("    budget: 30s") + 1
    )
    assert yamlstructs.line(FULL, "t", ("machines", "nowhere", "x")) == FULL.splitlines().index("machines:") + 1


def test_the_documented_keys_are_the_keys() -> None:
    documented = (ROOT / "docs" / "config.md").read_text().partition("## Keys\n\n")[2]
    assert documented == configkeys.markdown(), "write it anew with `torchwarden config keys`"


def test_what_is_not_followed_yet_is_said() -> None:
    documented = (ROOT / "docs" / "config.md").read_text()
    assert all(f"`{key}`" in documented for key in configwords.NOT_YET)
    assert list(configwords.explain(parse(SMALL)))[-1].startswith("Not yet followed by this version: policy.confirm")


def test_an_explanation_names_what_matters() -> None:
    text = "\n".join(configwords.explain(parse(FULL)))
    for words in (
        "Machine hosted, a runner labelled ubuntu-24.04: cpu, 2 threads per step, pinned to 2,3",
        "Machine gpu, a runner labelled self-hosted, linux, gpu in ghcr.io/me/torch@sha256:",
        "torchbench every night: eval in eager, inductor, jit, eager_bf16",
        "as many tests as benchmarks/my_suite.py has, 30s of measuring for each at most, at most 1h in all",
        "The check of a pull request fails for a test that is slower by 7% or more",
        "test_train[*]: 10%",
        "torch==2.13.0, measured beside it",
        "right to maintain",
        "@org/team",
        "5 clean nights",
    ):
        assert words in text, words


def test_an_explanation_refuses_what_measures_nothing() -> None:
    text = with_line(SMALL, "smoke: {}", "convnet: {types: [eval], modes: [inductor_cudagraphs]}")
    with pytest.raises(UserError, match=r"matches the selection|can run on"):
        list(configwords.explain(parse(text)))
