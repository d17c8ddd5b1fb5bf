"""GitHub's own OpenAPI description, cut to the operations that the bot uses and stripped of prose.

The cut is committed beside this file, so that tests need no network: `rest.json.gz`, from the npm package
`@octokit/openapi` (MIT), which holds what GitHub publishes in github/rest-api-description (MIT).
Made again with

    npm install --prefix /tmp/octokit @octokit/openapi@23.0.2
    python tests/github/openapi.py /tmp/octokit/node_modules/@octokit/openapi
"""

from __future__ import annotations

import gzip
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

CUT = pathlib.Path(__file__).with_name("rest.json.gz")
SOURCE = "generated/api.github.com.json"

_REPO = "/repos/{owner}/{repo}"
OPERATIONS: dict[str, tuple[str, ...]] = {
    "/user": ("get",),
    _REPO: ("get",),
    f"{_REPO}/pulls": ("get", "post"),
    f"{_REPO}/pulls/{{pull_number}}": ("get", "patch"),
    f"{_REPO}/issues": ("get", "post"),
    f"{_REPO}/issues/{{issue_number}}": ("get", "patch"),
    f"{_REPO}/issues/{{issue_number}}/comments": ("get", "post"),
    f"{_REPO}/issues/comments/{{comment_id}}": ("get", "patch", "delete"),
    f"{_REPO}/issues/comments/{{comment_id}}/reactions": ("get", "post"),
    f"{_REPO}/issues/{{issue_number}}/labels": ("get", "post"),
    f"{_REPO}/issues/{{issue_number}}/labels/{{name}}": ("delete",),
    f"{_REPO}/labels": ("get", "post"),
    f"{_REPO}/labels/{{name}}": ("get",),
    f"{_REPO}/collaborators/{{username}}/permission": ("get",),
    f"{_REPO}/actions/workflows/{{workflow_id}}/dispatches": ("post",),
    f"{_REPO}/actions/workflows/{{workflow_id}}/runs": ("get",),
    f"{_REPO}/activity": ("get",),
    f"{_REPO}/compare/{{basehead}}": ("get",),
    f"{_REPO}/contents/{{path}}": ("get",),
    f"{_REPO}/git/ref/{{ref}}": ("get",),
    f"{_REPO}/git/refs": ("post",),
    f"{_REPO}/git/refs/{{ref}}": ("patch", "delete"),
    f"{_REPO}/git/blobs": ("post",),
    f"{_REPO}/git/trees": ("post",),
    f"{_REPO}/git/commits": ("post",),
    f"{_REPO}/git/commits/{{commit_sha}}": ("get",),
    f"{_REPO}/commits/{{ref}}/check-runs": ("get",),
    f"{_REPO}/check-runs": ("post",),
    f"{_REPO}/check-runs/{{check_run_id}}": ("get", "patch"),
    f"{_REPO}/statuses/{{sha}}": ("post",),
    f"{_REPO}/commits/{{ref}}/statuses": ("get",),
}
"""Path and verbs of every call that `bot.github` makes."""

_PROSE = frozenset({"description", "summary", "example", "examples", "externalDocs", "tags", "deprecated"})
# Where the keys are names of things and not words of OpenAPI.
_NAMES = frozenset({"properties", "paths", "schemas", "parameters", "responses", "headers", "requestBodies", "content"})


def load() -> dict[str, Any]:
    """The committed cut."""
    with gzip.open(CUT, "rt", encoding="utf-8") as file:
        document: dict[str, Any] = json.load(file)
    return document


def cut(whole: dict[str, Any]) -> dict[str, Any]:
    """The operations of `OPERATIONS` with all they refer to, without prose."""
    paths: dict[str, Any] = {}
    for path, verbs in OPERATIONS.items():
        found = whole["paths"][path]
        paths[path] = {verb: _bare(found[verb]) for verb in verbs}
        if "parameters" in found:
            paths[path]["parameters"] = _bare(found["parameters"])
    components: dict[str, dict[str, Any]] = {}
    waiting = list(_references(paths))
    while waiting:
        kind, name = waiting.pop().removeprefix("#/components/").split("/", 1)
        if name not in components.setdefault(kind, {}):
            components[kind][name] = _bare(whole["components"][kind][name])
            waiting += _references(components[kind][name])
    return {
        "openapi": whole["openapi"],
        "info": {
            "title": "GitHub, cut for Torchwarden",
            "version": whole["info"]["version"],
            "license": {"name": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1"}],
        "paths": paths,
        "components": {kind: dict(sorted(found.items())) for kind, found in sorted(components.items())},
    }


def _bare(node: Any, *, named: bool = False) -> Any:
    """A part of the description without prose; an answer keeps an empty `description`, which OpenAPI wants."""
    if isinstance(node, list):
        return [_bare(one) for one in node]
    if not isinstance(node, dict):
        return node
    bare = {
        key: _bare(value, named=key in _NAMES and not named)
        for key, value in node.items()
        if named or not (key in _PROSE or key.startswith("x-"))
    }
    if not named and "description" in node and ("content" in node or not bare.keys() - {"headers"}):
        bare["description"] = ""
    if not named and bare.get("nullable") and "enum" in bare and None not in bare["enum"]:
        # OpenAPI 3.0.3 says that null must then be listed too; GitHub means it and does not list it.
        bare["enum"] = [*bare["enum"], None]
    return bare


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


if __name__ == "__main__":
    package = pathlib.Path(sys.argv[1])
    text = json.dumps(cut(json.loads((package / SOURCE).read_text("utf-8"))), separators=(",", ":"))
    # No name and no time in the header: the same source gives the same bytes.
    with CUT.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.encode())
    print(f"{CUT}: {len(text):,} bytes, {CUT.stat().st_size:,} packed")
