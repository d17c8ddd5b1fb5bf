"""What `torchwarden init` writes: a first configuration from a few answers, its schema, and the workflows.

Promises a configuration that reads back as what was answered, and workflows byte for byte as they are shipped
(`workflows-templates/`, which an installed package holds too).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import resources

from bot import command, config
from harness import benchmark
from harness.errors import UserError
from harness.testname import quoted

HOSTED = "hosted=ubuntu-24.04"
"""The machine of a configuration for which none is named: a runner of GitHub's."""

INSTALL = "pip install -e ."
MODES = ("advise", "gate")

_ALL = ("torch", "torchvision", "timm", "transformers", "opacus")
_NEEDS: dict[str, tuple[str, ...]] = {
    "smoke": ("torch", "torchvision", "timm"),
    "timm": ("torch", "torchvision", "timm"),
    "huggingface": ("torch", "transformers"),
    "convnet": ("torch", "torchvision"),
}
"""What a suite imports, so that a build of a repository which brings only itself can run it."""

_MACHINE = re.compile(r"([a-z0-9_-]+)=([A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*)(?::(cpu|cuda))?")


@dataclass(frozen=True)
class Answers:
    """What was answered. `suites` are built-in names or files, `machines` are written NAME=LABEL,LABEL[:DEVICE]."""

    suites: tuple[str, ...] = ("smoke",)
    machines: tuple[str, ...] = (HOSTED,)
    install: str = INSTALL
    mode: str = "advise"


def files(answers: Answers) -> dict[str, bytes]:
    """All files by their path from the root of a repository. Raises UserError for an answer that cannot be."""
    text = config_text(answers)
    schema = json.dumps(config.json_schema(), indent=2) + "\n"
    return {
        str(config.PATH): text.encode(),
        str(config.PATH.with_name(config.SCHEMA_FILE)): schema.encode(),
        **{f".github/workflows/{name}": content for name, content in workflows().items()},
    }


def workflows() -> dict[str, bytes]:
    """The workflows that are shipped, by their names."""
    folder = resources.files("bot") / "workflows-templates"
    return {one.name: one.read_bytes() for one in sorted(folder.iterdir(), key=str) if one.name.endswith(".yml")}


def config_text(answers: Answers) -> str:
    """The configuration, with comments. Raises UserError for an answer that cannot be."""
    lines = [
        f"# yaml-language-server: $schema=./{config.SCHEMA_FILE}",
        "# What Torchwarden measures, where, and what it says. `torchwarden config check` says it in words, and",
        "# `torchwarden config keys` lists every key.",
        "version: 1",
        "",
        "suites:",
        *(line for suite in answers.suites for line in _suite(suite)),
        "",
        "machines:",
        *(line for machine in answers.machines for line in _machine(machine)),
        "",
        "# {base} is the merge base of a pull request, {head} its newest commit.",
        "builds:",
        '  base: "git:{base}"',
        '  head: "git:{head}"',
        # JSON's texts are YAML's too, on one line and whatever they hold.
        f"  install: {json.dumps(answers.install)}",
        "  # Installed into every build too. Leave out what a commit itself installs.",
        f"  with: [{', '.join(_needs(answers.suites))}]",
        "",
        "policy:",
        "  threshold: 7%",
        "  score-threshold: 1%",
        "  # advise: a regression is reported. gate: it fails the check.",
        f"  mode: {answers.mode}",
        "",
        "# always, on-change or never",
        "comment: always",
        "",
    ]
    text = "\n".join(lines)
    config.parse(text)
    return text


def _suite(suite: str) -> list[str]:
    name = benchmark.suite_name(suite)
    if not re.fullmatch(command.NAME, name) or not re.fullmatch(r"[A-Za-z0-9._/-]+", suite):
        raise UserError(
            f"{quoted(suite)} cannot be a suite; name a built-in one ({', '.join(benchmark.BUILTIN_SUITES)}), or a "
            "file of yours such as benchmarks/my_suite.py, in small letters"
        )
    file = [f"    file: {suite}"] if benchmark.is_file(suite) else []
    return [f"  {name}:", *file, "    types: [eval, train]", "    modes: [eager]"]


def _machine(machine: str) -> list[str]:
    found = _MACHINE.fullmatch(machine)
    if found is None:
        raise UserError(
            f"{quoted(machine)} is not a machine; write its name and its runner's labels, such as {HOSTED} or "
            "gpu=self-hosted,linux,gpu:cuda"
        )
    name, labels, device = found.groups()
    # A label such as 1.0 is a text for us, and would be a number for others.
    shown = ", ".join(label if re.match(r"[A-Za-z]", label) else f'"{label}"' for label in labels.split(","))
    return [f"  {name}:", f"    runs-on: [{shown}]", f"    device: {device or 'cpu'}", "    budget: 20s"]


def _needs(suites: tuple[str, ...]) -> list[str]:
    own = ("torch",)
    every = (need for suite in suites for need in (own if benchmark.is_file(suite) else _NEEDS.get(suite, _ALL)))
    return list(dict.fromkeys(every))
