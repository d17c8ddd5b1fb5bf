"""A GitHub of our own on the loopback interface: stateful, with permissions and pages, and with faults on demand.

What it answers has the shape that GitHub's OpenAPI asks for: every answer starts from the least instance of its schema
(`Shapes`) and gets what this server knows on top. Every exchange is kept, so that `tests.github.contract` can judge it.
"""

from __future__ import annotations

import base64
import collections
import copy
import functools
import hashlib
import http.server
import json
import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from openapi_schema_validator import OAS30WriteValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.github import openapi

NOW = "2026-01-02T03:04:05Z"
ALL = frozenset({"issues", "pull_requests", "checks", "statuses", "contents", "actions"})


@dataclass(frozen=True)
class Identity:
    """Whose a token is: `kind` user, or app (also that of Actions), and what it may write."""

    login: str
    kind: str = "user"
    may: frozenset[str] = ALL


@dataclass(frozen=True)
class Fault:
    """What befalls one call. With `done` it is carried out and only the answer is lost."""

    kind: str
    done: bool = False


@dataclass(frozen=True)
class Exchange:
    """A request as it arrived and the answer as it left; `fault` is what befell it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    answer_headers: Mapping[str, str]
    answer: bytes
    fault: Fault | None


class Refusal(Exception):
    """An answer of 400 or more."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


class Shapes:
    """The least instances of the schemas of answers, and validators of the bodies of requests."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        registry = Registry().with_resource("urn:cut", Resource(document, DRAFT4))
        self._validator = functools.partial(OAS30WriteValidator, registry=registry)

    def operation(self, template: str, method: str) -> dict[str, Any]:
        return self._document["paths"][template][method.lower()]

    def answer(self, template: str, method: str, status: int, content: Any) -> Any:
        """`content` on top of the least instance of the answer's schema."""
        declared = self._resolved(self.operation(template, method)["responses"][str(status)])
        if "content" not in declared:
            return None
        return self._filled(declared["content"]["application/json"]["schema"], content)

    def complaint(self, template: str, method: str, body: Any) -> str | None:
        """What is wrong with the body of a request, None when nothing is."""
        wanted = self.operation(template, method).get("requestBody")
        if wanted is None:
            return None
        schema = self._absolute(wanted["content"]["application/json"]["schema"])
        error = next(iter(self._validator(schema).iter_errors(body)), None)
        return None if error is None else f"{error.json_path}: {error.message[:200]}"

    def _absolute(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {key: f"urn:cut{value}" if key == "$ref" else self._absolute(value) for key, value in node.items()}
        return [self._absolute(one) for one in node] if isinstance(node, list) else node

    def _resolved(self, schema: dict[str, Any], content: Any = None) -> dict[str, Any]:
        """The schema without references; of alternatives the one that has most to do with `content`."""
        while "$ref" in schema:
            node: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                node = node[part]
            schema = node
        if "allOf" in schema:
            parts = [self._resolved(one) for one in schema["allOf"]]
            properties = {key: value for one in parts for key, value in one.get("properties", {}).items()}
            required = [key for one in parts for key in one.get("required", ())]
            return {"type": "object", "properties": properties, "required": required}
        for word in ("oneOf", "anyOf"):
            if word in schema and "properties" not in schema:
                found = [self._resolved(one) for one in schema[word]]
                keys = content.keys() if isinstance(content, dict) else ()
                return max(found, key=lambda one: sum(key in one.get("properties", {}) for key in keys))
        return schema

    def _filled(self, schema: dict[str, Any], content: Any) -> Any:
        schema = self._resolved(schema, content)
        if isinstance(content, list):
            return [self._filled(schema.get("items", {}), one) for one in content]
        if not isinstance(content, dict):
            return content
        properties = schema.get("properties", {})
        filled = {key: self._least(properties[key]) for key in schema.get("required", ()) if key in properties}
        for key, value in content.items():
            filled[key] = self._filled(properties.get(key, {}), value)
        return filled

    def _least(self, schema: dict[str, Any]) -> Any:
        schema = self._resolved(schema)
        if schema.get("nullable"):
            return None
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type", "object")
        if kind == "object":
            properties = schema.get("properties", {})
            return {key: self._least(properties[key]) for key in schema.get("required", ()) if key in properties}
        if kind == "string":
            return {"uri": "https://github.invalid/", "date-time": NOW}.get(schema.get("format", ""), "")
        return {"array": [], "boolean": False}.get(kind, schema.get("minimum", 0))


@functools.cache
def shapes() -> Shapes:
    return Shapes(openapi.load())


def missing(what: str = "Not Found") -> Refusal:
    return Refusal(404, what)


def invalid(why: str) -> Refusal:
    return Refusal(422, f"Validation Failed: {why}")


def git_sha(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


@dataclass
class State:
    """All that a repository holds. Equal states are the same to everybody who looks."""

    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    reactions: list[tuple[int, str, str]] = field(default_factory=list)
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    permissions: dict[str, str] = field(default_factory=dict)
    workflows: set[str] = field(default_factory=set)
    titles: dict[str, str] = field(default_factory=dict)
    """The `run-name` of workflows, with the names of inputs in braces."""
    pushes: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Repository, branch, commit and time of every push to a pull request."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    trees: dict[str, dict[str, str]] = field(default_factory=dict)
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    commits_of_forks: set[str] = field(default_factory=set)


Handler = Callable[..., tuple[int, Any]]
_ROUTES: list[tuple[str, str, re.Pattern[str], Handler, str]] = []


def route(method: str, template: str, may: str = "") -> Callable[[Handler], Handler]:
    """Serve an operation of GitHub's OpenAPI; `may` is the permission it takes (several: any of them)."""
    tails = {"path", "ref"} if not template.endswith(("/check-runs", "/statuses")) else set()
    pattern = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{'.+' if m[1] in tails else '[^/]+'})", template)

    def add(handler: Handler) -> Handler:
        _ROUTES.append((method, template, re.compile(pattern), handler, may))
        return handler

    return add


_REPO = "/repos/{owner}/{repo}"


class Server:
    """The server: start it with `with`, its address is `url`. One repository, `acme/models`."""

    repository = "acme/models"

    def __init__(self, *, prefix: str = "", hold: float = 1.0) -> None:
        self.prefix = prefix
        self.hold = hold
        self.state = State()
        self.tokens: dict[str, Identity] = {
            "tok-bot": Identity("warden-bot"),
            "tok-read": Identity("reader", may=frozenset()),
        }
        self.tokens["tok-actions"] = Identity("github-actions[bot]", "app")
        self.faults: dict[int, Fault] = {}
        self.exchanges: list[Exchange] = []
        self.before: Callable[[Server, str, str], None] | None = None
        self._calls = 0
        self._ids = 1000
        self._lock = threading.RLock()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Requests, self))
        self._http.daemon_threads = True
        self._released = threading.Event()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}{prefix}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._released.set()
        self._http.shutdown()
        self._http.server_close()

    # What a test sets up

    def commit(self, files: Mapping[str, bytes], *, parents: tuple[str, ...] = (), message: str = "c") -> str:
        """A commit in the repository that holds these files."""
        tree = {}
        for path, content in files.items():
            tree[path] = git_sha("blob", content)
            self.state.blobs[tree[path]] = content
        name = self._tree(tree)
        return self._commit(name, parents, message)

    def pull(
        self, head: str, *, branch: str = "topic", owner: str = "acme", author: str = "dev", pushed: str = NOW
    ) -> int:
        """A pull request whose head is the commit `head`."""
        number = 1 + max([0, *self.state.issues])
        self.state.pushes.append((f"{owner}/models", branch, head, pushed))
        self.state.commits_of_forks.add(head)
        self.state.issues[number] = self._issue(number, "A change", "", author, ())
        self.state.pulls[number] = {"head": head, "branch": branch, "owner": owner, "base": "main"}
        return number

    def move(self, number: int, head: str, pushed: str = NOW) -> None:
        """Push another commit to a pull request."""
        self.state.commits_of_forks.add(head)
        kept = self.state.pulls[number]
        self.state.pushes.append((f"{kept['owner']}/models", kept["branch"], head, pushed))
        self.state.pulls[number]["head"] = head

    def comment(self, number: int, login: str, body: str) -> int:
        """A comment that somebody wrote."""
        identifier = self.next_id()
        self.state.comments[identifier] = {"id": identifier, "issue": number, "login": login, "body": body}
        return identifier

    def snapshot(self) -> State:
        with self._lock:
            return copy.deepcopy(self.state)

    def fail_at(self, number: int, kind: str, *, done: bool = False) -> None:
        """Let the `number`-th call from now on, counted from 0, meet a fault."""
        self.faults[self._calls + number] = Fault(kind, done)

    @property
    def calls(self) -> int:
        """How many calls were made so far."""
        return self._calls

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    # How a call is served

    def serve(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes, Fault | None]:
        with self._lock:
            fault = self.faults.get(self._calls)
            self._calls += 1
            parts = urllib.parse.urlsplit(target)
            path = urllib.parse.unquote(parts.path).removeprefix(self.prefix)
            if self.before is not None:
                self.before(self, method, path)
            if fault is not None and not fault.done and fault.kind != "truncated":
                status, more, answer = self._faulty(fault)
            else:
                try:
                    status, more, answer = self._answer(method, path, parts.query, headers, body)
                except Refusal as error:
                    status, more = error.status, error.headers
                    answer = {
                        "message": error.message,
                        "documentation_url": "https://docs.github.invalid",
                        "status": str(status),
                    }
                if fault is not None and fault.kind.isdecimal():
                    status, more, answer = self._faulty(fault)
            content = b"" if answer is None else json.dumps(answer).encode()
            kept = {"content-type": "application/json; charset=utf-8", **more}
            shown = parts.path.removeprefix(self.prefix)
            self.exchanges.append(
                Exchange(method, shown, parts.query, dict(headers), body, status, kept, content, fault)
            )
            return status, kept, content, fault

    def _faulty(self, fault: Fault) -> tuple[int, dict[str, str], Any]:
        if not fault.kind.isdecimal():
            return 500, {}, {"message": "never sent"}
        more = {"retry-after": "2"} if fault.kind == "429" else {}
        return int(fault.kind), more, {"message": f"as told: {fault.kind}"}

    def wait(self) -> None:
        """Keep a caller waiting longer than its patience."""
        self._released.wait(self.hold)

    def _answer(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], Any]:
        who = self._who(headers)
        if (method, path) in (("POST", "/graphql"), ("POST", self.prefix.replace("/v3", "") + "/graphql")):
            return 200, {}, {"data": {"viewer": {"login": who.login}}}
        allowed = [found[0] for found in _ROUTES if found[2].fullmatch(path)]
        for verb, template, pattern, handler, may in _ROUTES:
            match = pattern.fullmatch(path)
            if verb != method or match is None:
                continue
            found = match.groupdict()
            named = f"{found.pop('owner', '')}/{found.pop('repo', '')}".lower()
            if template.endswith("/activity"):
                # The one thing that is read of a fork.
                found["repository"] = named
            elif named not in ("/", self.repository):
                raise missing()
            if may and not who.may & set(may.split()):
                raise Refusal(
                    403,
                    "Resource not accessible by integration"
                    if who.kind == "app"
                    else "Must have admin rights to Repository.",
                )
            given = self._decoded(body)
            if method in ("POST", "PATCH", "PUT") and (wrong := shapes().complaint(template, method, given)):
                raise invalid(wrong)
            asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
            found = {key: self._number(value) if key in _NUMBERS else value for key, value in found.items()}
            status, content = handler(self, who, given or {}, asked, **found)
            more: dict[str, str] = {}
            if method == "GET" and isinstance(content, _Listed):
                content, more = self._page(content, path, asked)
            return status, more, shapes().answer(template, method, status, content)
        raise Refusal(405, "Method Not Allowed", {"allow": ", ".join(allowed)}) if allowed else missing()

    def _who(self, headers: Mapping[str, str]) -> Identity:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() not in ("token", "bearer") or token not in self.tokens:
            raise Refusal(401, "Bad credentials")
        return self.tokens[token]

    @staticmethod
    def _decoded(body: bytes) -> Any:
        if not body:
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Refusal(400, "Problems parsing JSON") from None

    @staticmethod
    def _number(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise missing()
        return int(text)

    def _page(self, listed: _Listed, path: str, asked: Mapping[str, str]) -> tuple[Any, dict[str, str]]:
        def amount(name: str, default: int) -> int:
            text = asked.get(name, "")
            return max(1, int(text)) if re.fullmatch(r"[0-9]{1,9}", text) else default

        size, page = min(amount("per_page", 30), 100), amount("page", 1)
        last = max(1, -(-len(listed.found) // size))
        links = {"next": page + 1, "last": last} if page < last else {}
        links |= {"prev": page - 1, "first": 1} if page > 1 else {}
        host = self.url.removesuffix(self.prefix)

        def address(number: int) -> str:
            return f"{host}{self.prefix}{urllib.parse.quote(path)}?{urllib.parse.urlencode({**asked, 'page': number})}"

        more = (
            {"link": ", ".join(f'<{address(number)}>; rel="{name}"' for name, number in links.items())} if links else {}
        )
        found = listed.found[(page - 1) * size : page * size]
        return ({"total_count": len(listed.found), listed.key: found} if listed.key else found), more

    # Builders

    def account(self, login: str) -> dict[str, Any]:
        # Numbers of accounts do not matter here, only that each has its own.
        return {
            "login": login,
            "id": int(hashlib.sha1(login.encode()).hexdigest()[:6], 16),
            "type": "Bot" if login.endswith("[bot]") else "User",
        }

    def _issue(self, number: int, title: str, body: str, login: str, labels: tuple[str, ...]) -> dict[str, Any]:
        return {
            "id": self.next_id(),
            "number": number,
            "title": title,
            "body": body,
            "login": login,
            "labels": list(labels),
            "assignees": [],
            "state": "open",
            "state_reason": None,
        }

    def issue_shown(self, number: int) -> dict[str, Any]:
        kept = self.state.issues.get(number)
        if kept is None:
            raise missing()
        shown = {key: kept[key] for key in ("id", "number", "title", "body", "state", "state_reason")}
        shown["user"] = self.account(kept["login"])
        shown["labels"] = [
            {"name": name, **self.state.labels.get(name, {"color": "ededed"})} for name in kept["labels"]
        ]
        shown["assignees"] = [self.account(login) for login in kept["assignees"]]
        shown["html_url"] = f"https://github.invalid/{self.repository}/issues/{number}"
        if number in self.state.pulls:
            shown["pull_request"] = {
                "url": "https://x.invalid/",
                "html_url": "https://x.invalid/",
                "diff_url": "https://x.invalid/",
                "patch_url": "https://x.invalid/",
            }
        return shown

    def pull_shown(self, number: int) -> dict[str, Any]:
        kept = self.state.pulls.get(number)
        if kept is None:
            raise missing()
        issue = self.state.issues[number]
        base = self.state.refs.get(f"refs/heads/{kept['base']}", "0" * 40)
        own = self.state.refs.get(f"refs/heads/{kept['branch']}") if kept["owner"] == "acme" else None
        home = {"name": "models", "full_name": f"{kept['owner']}/models"}
        return {
            "number": number,
            "id": issue["id"],
            "title": issue["title"],
            "body": issue["body"],
            "state": issue["state"],
            "user": self.account(issue["login"]),
            "head": {
                "sha": own or kept["head"],
                "ref": kept["branch"],
                "label": f"{kept['owner']}:{kept['branch']}",
                "repo": home,
            },
            "merged_at": kept.get("merged_at"),
            "base": {"sha": base, "ref": kept["base"], "label": f"acme:{kept['base']}"},
            "html_url": f"https://github.invalid/{self.repository}/pull/{number}",
        }

    def comment_shown(self, identifier: int) -> dict[str, Any]:
        kept = self.state.comments.get(identifier)
        if kept is None:
            raise missing()
        url = f"https://github.invalid/{self.repository}/issues/{kept['issue']}#issuecomment-{identifier}"
        return {"id": identifier, "body": kept["body"], "user": self.account(kept["login"]), "html_url": url}

    def _tree(self, entries: dict[str, str]) -> str:
        name = git_sha("tree", json.dumps(sorted(entries.items())).encode())
        self.state.trees[name] = dict(entries)
        return name

    def _commit(self, tree: str, parents: tuple[str, ...], message: str) -> str:
        name = git_sha("commit", json.dumps([tree, parents, message]).encode())
        self.state.commits[name] = {"tree": tree, "parents": list(parents), "message": message}
        return name

    def knows(self, sha: str) -> bool:
        return sha in self.state.commits or sha in self.state.commits_of_forks

    def ancestors(self, sha: str) -> Iterator[str]:
        waiting = [sha]
        while waiting:
            name = waiting.pop()
            yield name
            waiting += self.state.commits.get(name, {}).get("parents", [])


_NUMBERS = frozenset({"issue_number", "pull_number", "comment_id", "check_run_id"})


@dataclass(frozen=True)
class _Listed:
    found: list[Any]
    key: str = ""


def _text(given: Mapping[str, Any], key: str, most: int) -> str:
    text = given.get(key)
    if not isinstance(text, str) or not text.strip():
        raise invalid(f"{key} can't be blank")
    if len(text) > most:
        raise invalid(f"{key} is too long (maximum is {most} characters)")
    return text


@route("GET", "/user")
def _user(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    if who.kind != "user":
        raise Refusal(403, "Resource not accessible by integration")
    return 200, {**server.account(who.login), "user_view_type": "private"}


@route("GET", _REPO)
def _repository(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    return 200, {
        "name": "models",
        "full_name": server.repository,
        "default_branch": "main",
        "owner": server.account("acme"),
    }


@route("GET", f"{_REPO}/pulls")
def _pulls(server: Server, who: Identity, given: Any, asked: Mapping[str, str]) -> tuple[int, Any]:
    found = [server.pull_shown(number) for number in sorted(server.state.pulls, reverse=True)]
    state, head = asked.get("state", "open"), asked.get("head", "")
    return 200, _Listed([one for one in found if state in ("all", one["state"]) and head in ("", one["head"]["label"])])


@route("POST", f"{_REPO}/pulls", "pull_requests")
def _create_pull(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    title, head, base = (_text(given, key, 256) for key in ("title", "head", "base"))
    at = server.state.refs.get(f"refs/heads/{head}")
    if at is None or f"refs/heads/{base}" not in server.state.refs:
        raise invalid("head or base is not a branch")
    for number, kept in server.state.pulls.items():
        if (kept["branch"], kept["owner"]) == (head, "acme") and server.state.issues[number]["state"] == "open":
            raise invalid(f"A pull request already exists for acme:{head}.")
    number = server.pull(at, branch=head, author=who.login)
    server.state.issues[number] |= {"title": title, "body": given.get("body") or ""}
    server.state.pulls[number]["base"] = base
    return 201, server.pull_shown(number)


@route("GET", f"{_REPO}/pulls/{{pull_number}}")
def _pull(server: Server, who: Identity, given: Any, asked: Any, pull_number: int) -> tuple[int, Any]:
    return 200, server.pull_shown(pull_number)


@route("PATCH", f"{_REPO}/pulls/{{pull_number}}", "pull_requests")
def _edit_pull(server: Server, who: Identity, given: Any, asked: Any, pull_number: int) -> tuple[int, Any]:
    server.pull_shown(pull_number)
    server.state.issues[pull_number] |= {key: given[key] for key in ("title", "body", "state") if key in given}
    return 200, server.pull_shown(pull_number)


@route("GET", f"{_REPO}/issues")
def _issues(server: Server, who: Identity, given: Any, asked: Mapping[str, str]) -> tuple[int, Any]:
    found = [server.issue_shown(number) for number in sorted(server.state.issues, reverse=True)]
    state, creator = asked.get("state", "open"), asked.get("creator", "")
    wanted = {name for name in asked.get("labels", "").split(",") if name}
    return 200, _Listed(
        [
            one
            for one in found
            if state in ("all", one["state"])
            and creator in ("", one["user"]["login"])
            and wanted <= {label["name"] for label in one["labels"]}
        ]
    )


@route("POST", f"{_REPO}/issues", "issues")
def _create_issue(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    title = given.get("title")
    labels = [one if isinstance(one, str) else one.get("name") or "" for one in given.get("labels") or ()]
    number = 1 + max([0, *server.state.issues])
    kept = server._issue(
        number, _text({"title": str(title)}, "title", 256), given.get("body") or "", who.login, tuple(labels)
    )
    if len(kept["body"]) > 65536:
        raise invalid("body is too long (maximum is 65536 characters)")
    kept["assignees"] = _assignable(server, given)
    server.state.issues[number] = kept
    return 201, server.issue_shown(number)


def _assignable(server: Server, given: Mapping[str, Any]) -> list[str]:
    """The accounts to assign: those that have a permission here, at most ten; any other is refused."""
    logins = list(given.get("assignees") or ())
    if not all(isinstance(login, str) for login in logins) or len(set(logins)) > 10:
        raise invalid("assignees is invalid")
    if any(login not in server.state.permissions for login in logins):
        raise invalid("assignees is invalid")
    return list(dict.fromkeys(logins))


@route("GET", f"{_REPO}/issues/{{issue_number}}")
def _get_issue(server: Server, who: Identity, given: Any, asked: Any, issue_number: int) -> tuple[int, Any]:
    return 200, server.issue_shown(issue_number)


@route("PATCH", f"{_REPO}/issues/{{issue_number}}", "issues pull_requests")
def _edit_issue(server: Server, who: Identity, given: Any, asked: Any, issue_number: int) -> tuple[int, Any]:
    server.issue_shown(issue_number)
    kept = server.state.issues[issue_number]
    if len(given.get("body") or "") > 65536:
        raise invalid("body is too long (maximum is 65536 characters)")
    if "assignees" in given:
        kept["assignees"] = _assignable(server, given)
    if given.get("title") is not None:
        kept["title"] = _text({"title": str(given["title"])}, "title", 256)
    if "body" in given:
        kept["body"] = given["body"] or ""
    if "labels" in given:
        kept["labels"] = [one if isinstance(one, str) else one.get("name") or "" for one in given["labels"]]
    if "state" in given:
        kept["state"] = given["state"]
        kept["state_reason"] = given.get("state_reason") or {"closed": "completed", "open": "reopened"}[given["state"]]
    return 200, server.issue_shown(issue_number)


@route("GET", f"{_REPO}/issues/{{issue_number}}/comments")
def _comments(server: Server, who: Identity, given: Any, asked: Any, issue_number: int) -> tuple[int, Any]:
    server.issue_shown(issue_number)
    ids = sorted(key for key, kept in server.state.comments.items() if kept["issue"] == issue_number)
    return 200, _Listed([server.comment_shown(one) for one in ids])


@route("POST", f"{_REPO}/issues/{{issue_number}}/comments", "issues pull_requests")
def _create_comment(server: Server, who: Identity, given: Any, asked: Any, issue_number: int) -> tuple[int, Any]:
    server.issue_shown(issue_number)
    return 201, server.comment_shown(server.comment(issue_number, who.login, _text(given, "body", 65536)))


@route("GET", f"{_REPO}/issues/comments/{{comment_id}}")
def _comment(server: Server, who: Identity, given: Any, asked: Any, comment_id: int) -> tuple[int, Any]:
    return 200, server.comment_shown(comment_id)


@route("PATCH", f"{_REPO}/issues/comments/{{comment_id}}", "issues pull_requests")
def _edit_comment(server: Server, who: Identity, given: Any, asked: Any, comment_id: int) -> tuple[int, Any]:
    server.comment_shown(comment_id)
    server.state.comments[comment_id]["body"] = _text(given, "body", 65536)
    return 200, server.comment_shown(comment_id)


@route("DELETE", f"{_REPO}/issues/comments/{{comment_id}}", "issues pull_requests")
def _delete_comment(server: Server, who: Identity, given: Any, asked: Any, comment_id: int) -> tuple[int, Any]:
    server.comment_shown(comment_id)
    del server.state.comments[comment_id]
    return 204, None


@route("GET", f"{_REPO}/issues/comments/{{comment_id}}/reactions")
def _reactions(server: Server, who: Identity, given: Any, asked: Any, comment_id: int) -> tuple[int, Any]:
    server.comment_shown(comment_id)
    found = [(login, content) for key, login, content in server.state.reactions if key == comment_id]
    return 200, _Listed([{"id": 1, "user": server.account(login), "content": content} for login, content in found])


@route("POST", f"{_REPO}/issues/comments/{{comment_id}}/reactions", "issues pull_requests")
def _react(server: Server, who: Identity, given: Any, asked: Any, comment_id: int) -> tuple[int, Any]:
    server.comment_shown(comment_id)
    one = (comment_id, who.login, given["content"])
    new = one not in server.state.reactions
    if new:
        server.state.reactions.append(one)
    return (201 if new else 200), {"id": 1, "user": server.account(who.login), "content": given["content"]}


def _names(server: Server, number: int) -> list[dict[str, Any]]:
    labels: list[dict[str, Any]] = server.issue_shown(number)["labels"]
    return labels


@route("GET", f"{_REPO}/issues/{{issue_number}}/labels")
def _issue_labels(server: Server, who: Identity, given: Any, asked: Any, issue_number: int) -> tuple[int, Any]:
    return 200, _Listed(_names(server, issue_number))


@route("POST", f"{_REPO}/issues/{{issue_number}}/labels", "issues pull_requests")
def _add_labels(server: Server, who: Identity, given: Any, asked: Any, issue_number: int) -> tuple[int, Any]:
    server.issue_shown(issue_number)
    named = given if isinstance(given, list) else given.get("labels", []) if isinstance(given, dict) else [given]
    for one in named:
        name = one if isinstance(one, str) else one["name"]
        server.state.labels.setdefault(name, {"color": "ededed"})
        if name not in server.state.issues[issue_number]["labels"]:
            server.state.issues[issue_number]["labels"].append(name)
    return 200, _names(server, issue_number)


@route("DELETE", f"{_REPO}/issues/{{issue_number}}/labels/{{name}}", "issues pull_requests")
def _remove_label(
    server: Server, who: Identity, given: Any, asked: Any, issue_number: int, name: str
) -> tuple[int, Any]:
    server.issue_shown(issue_number)
    if name not in server.state.issues[issue_number]["labels"]:
        raise missing("Label does not exist")
    server.state.issues[issue_number]["labels"].remove(name)
    return 200, _names(server, issue_number)


@route("GET", f"{_REPO}/labels")
def _labels(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    return 200, _Listed([{"name": name, **kept} for name, kept in server.state.labels.items()])


@route("POST", f"{_REPO}/labels", "issues pull_requests")
def _create_label(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    name = _text(given, "name", 50)
    color = given.get("color") or "ededed"
    if name in server.state.labels or not re.fullmatch(r"[0-9a-fA-F]{6}", color):
        raise invalid("name already exists, or color is not six hexadecimal digits")
    server.state.labels[name] = {"color": color, "description": given.get("description")}
    return 201, {"name": name, **server.state.labels[name]}


@route("GET", f"{_REPO}/labels/{{name}}")
def _label(server: Server, who: Identity, given: Any, asked: Any, name: str) -> tuple[int, Any]:
    if name not in server.state.labels:
        raise missing()
    return 200, {"name": name, **server.state.labels[name]}


@route("GET", f"{_REPO}/collaborators/{{username}}/permission")
def _permission(server: Server, who: Identity, given: Any, asked: Any, username: str) -> tuple[int, Any]:
    role = server.state.permissions.get(username)
    if role is None:
        raise missing(f"{username} is not a user")
    coarse = {"maintain": "write", "triage": "read"}.get(role, role)
    return 200, {"permission": coarse, "role_name": role, "user": {**server.account(username), "role_name": role}}


@route("POST", f"{_REPO}/actions/workflows/{{workflow_id}}/dispatches", "actions")
def _dispatch(server: Server, who: Identity, given: Any, asked: Any, workflow_id: str) -> tuple[int, Any]:
    if workflow_id not in server.state.workflows:
        raise missing()
    at = server.state.refs.get(f"refs/heads/{given['ref']}")
    if at is None:
        raise invalid(f"No ref found for: {given['ref']}")
    run = {
        "id": server.next_id(),
        "event": "workflow_dispatch",
        "head_sha": at,
        "inputs": given.get("inputs", {}),
        "workflow": workflow_id,
        "status": "queued",
        "conclusion": None,
        "display_title": server.state.titles.get(workflow_id, workflow_id).format_map(
            collections.defaultdict(str, given.get("inputs", {}))
        ),
        "run_started_at": NOW,
        "updated_at": NOW,
    }
    server.state.runs.append(run)
    return 204, None


@route("GET", f"{_REPO}/actions/workflows/{{workflow_id}}/runs")
def _runs(server: Server, who: Identity, given: Any, asked: Mapping[str, str], workflow_id: str) -> tuple[int, Any]:
    if workflow_id not in server.state.workflows:
        raise missing()
    found = [one for one in reversed(server.state.runs) if one["workflow"] == workflow_id]
    found = [one for one in found if asked.get("event", one["event"]) == one["event"]]
    keys = ("id", "event", "head_sha", "status", "conclusion", "display_title", "run_started_at", "updated_at")
    shown = [
        {key: one[key] for key in keys}
        | {"html_url": f"https://github.invalid/{server.repository}/actions/runs/{one['id']}", "created_at": NOW}
        for one in found
    ]
    return 200, _Listed(shown, "workflow_runs")


@route("GET", f"{_REPO}/activity")
def _activity(server: Server, who: Identity, given: Any, asked: Mapping[str, str], repository: str) -> tuple[int, Any]:
    found = [one for one in reversed(server.state.pushes) if one[0] == repository]
    if not found and repository != server.repository:
        raise missing()
    ref = asked.get("ref", "").removeprefix("refs/heads/")
    shown = [
        {
            "id": 1,
            "node_id": "x",
            "before": "0" * 40,
            "after": after,
            "ref": f"refs/heads/{branch}",
            "timestamp": time,
            "activity_type": "push",
            "actor": server.account("dev"),
        }
        for _, branch, after, time in found
        if ref in ("", branch)
    ]
    return 200, _Listed(shown)


@route("GET", f"{_REPO}/compare/{{basehead}}")
def _compare(server: Server, who: Identity, given: Any, asked: Any, basehead: str) -> tuple[int, Any]:
    base, _, head = basehead.partition("...")
    names = [server.state.refs.get(f"refs/heads/{one}", one) for one in (base, head)]
    if not all(name in server.state.commits for name in names):
        raise missing()
    of_base = set(server.ancestors(names[0]))
    merge_base = next((name for name in server.ancestors(names[1]) if name in of_base), None)
    if merge_base is None:
        raise missing("No common ancestor")
    return 200, {"merge_base_commit": {"sha": merge_base}, "commits": [], "files": [], "status": "ahead"}


@route("GET", f"{_REPO}/contents/{{path}}")
def _contents(server: Server, who: Identity, given: Any, asked: Mapping[str, str], path: str) -> tuple[int, Any]:
    ref = asked.get("ref", "main")
    commit = server.state.commits.get(server.state.refs.get(f"refs/heads/{ref}", ref))
    blob = server.state.trees[commit["tree"]].get(path) if commit else None
    if blob is None:
        raise missing()
    content = server.state.blobs[blob]
    return 200, {
        "type": "file",
        "encoding": "base64",
        "size": len(content),
        "name": path.rpartition("/")[2],
        "path": path,
        "content": base64.encodebytes(content).decode(),
        "sha": blob,
        "_links": {"self": "https://x.invalid/"},
    }


def _ref_shown(ref: str, sha: str) -> dict[str, Any]:
    return {"ref": ref, "object": {"sha": sha, "type": "commit"}}


@route("GET", f"{_REPO}/git/ref/{{ref}}")
def _ref(server: Server, who: Identity, given: Any, asked: Any, ref: str) -> tuple[int, Any]:
    sha = server.state.refs.get(f"refs/{ref}")
    if sha is None:
        raise missing()
    return 200, _ref_shown(f"refs/{ref}", sha)


@route("POST", f"{_REPO}/git/refs", "contents")
def _create_ref(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    ref, sha = given["ref"], given["sha"]
    if not re.fullmatch(r"refs/[^/]+/.+", ref) or ref in server.state.refs or not server.knows(sha):
        raise invalid("Reference already exists, or its object does not")
    server.state.refs[ref] = sha
    return 201, _ref_shown(ref, sha)


@route("PATCH", f"{_REPO}/git/refs/{{ref}}", "contents")
def _move_ref(server: Server, who: Identity, given: Any, asked: Any, ref: str) -> tuple[int, Any]:
    now = server.state.refs.get(f"refs/{ref}")
    if now is None or not server.knows(given["sha"]):
        raise invalid("Reference or object does not exist")
    if not given.get("force") and now not in server.ancestors(given["sha"]):
        raise invalid("Update is not a fast forward")
    server.state.refs[f"refs/{ref}"] = given["sha"]
    return 200, _ref_shown(f"refs/{ref}", given["sha"])


@route("DELETE", f"{_REPO}/git/refs/{{ref}}", "contents")
def _delete_ref(server: Server, who: Identity, given: Any, asked: Any, ref: str) -> tuple[int, Any]:
    if f"refs/{ref}" not in server.state.refs:
        raise invalid("Reference does not exist")
    del server.state.refs[f"refs/{ref}"]
    return 204, None


@route("POST", f"{_REPO}/git/blobs", "contents")
def _blob(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    try:
        content = base64.b64decode(given["content"]) if given.get("encoding") == "base64" else given["content"].encode()
    except ValueError:
        raise invalid("content is not valid Base64") from None
    name = git_sha("blob", content)
    server.state.blobs[name] = content
    return 201, {"sha": name}


@route("POST", f"{_REPO}/git/trees", "contents")
def _create_tree(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    base = given.get("base_tree")
    if base is not None and base not in server.state.trees:
        raise missing("base_tree")
    entries = dict(server.state.trees[base]) if base is not None else {}
    for one in given["tree"]:
        if one.get("sha") not in server.state.blobs or not one.get("path"):
            raise invalid("tree.sha is not a valid blob, or tree.path is not there")
        entries[one["path"]] = one["sha"]
    return 201, {"sha": server._tree(entries), "tree": [], "truncated": False}


@route("POST", f"{_REPO}/git/commits", "contents")
def _create_commit(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    parents = tuple(given.get("parents") or ())
    if given["tree"] not in server.state.trees or not all(map(server.knows, parents)):
        raise invalid("Tree or parent does not exist")
    name = server._commit(given["tree"], parents, given["message"])
    return 201, {"sha": name, "message": given["message"], "tree": {"sha": given["tree"]}}


@route("GET", f"{_REPO}/git/commits/{{commit_sha}}")
def _git_commit(server: Server, who: Identity, given: Any, asked: Any, commit_sha: str) -> tuple[int, Any]:
    kept = server.state.commits.get(commit_sha)
    if kept is None:
        raise missing()
    return 200, {"sha": commit_sha, "message": kept["message"], "tree": {"sha": kept["tree"]}}


_CHECK_FIELDS = ("id", "name", "head_sha", "status", "conclusion", "external_id", "details_url")


def _check_shown(server: Server, identifier: int) -> dict[str, Any]:
    kept = server.state.checks.get(identifier)
    if kept is None:
        raise missing()
    output = {key: kept["output"].get(key) for key in ("title", "summary", "text")}
    output["annotations_count"] = len(kept["annotations"])
    url = f"https://github.invalid/{server.repository}/runs/{identifier}"
    return {**{key: kept.get(key) for key in _CHECK_FIELDS}, "output": output, "html_url": url}


def _set_check(server: Server, kept: dict[str, Any], given: Mapping[str, Any]) -> None:
    output = given.get("output") or {}
    new = output.get("annotations") or []
    if len(new) > 50 or any(len(output.get(key) or "") > 65535 for key in ("summary", "text")):
        raise invalid("output is too large")
    if given.get("status") == "completed" and not given.get("conclusion"):
        raise invalid("conclusion is missing")
    kept |= {key: value for key, value in given.items() if key in _CHECK_FIELDS}
    if given.get("conclusion"):
        kept["status"] = "completed"
    kept["output"] = {
        **kept.get("output", {}),
        **{key: output[key] for key in ("title", "summary", "text") if key in output},
    }
    kept["annotations"] = [*kept.get("annotations", ()), *new]


@route("POST", f"{_REPO}/check-runs", "checks")
def _create_check(server: Server, who: Identity, given: Any, asked: Any) -> tuple[int, Any]:
    if who.kind != "app":
        raise Refusal(403, "You must authenticate via a GitHub App.")
    if not server.knows(given["head_sha"]):
        raise invalid(f"No commit found for SHA: {given['head_sha']}")
    identifier = server.next_id()
    kept = {"id": identifier, "status": "queued", "conclusion": None}
    _set_check(server, kept, given)
    server.state.checks[identifier] = kept
    return 201, _check_shown(server, identifier)


@route("GET", f"{_REPO}/check-runs/{{check_run_id}}")
def _check(server: Server, who: Identity, given: Any, asked: Any, check_run_id: int) -> tuple[int, Any]:
    return 200, _check_shown(server, check_run_id)


@route("PATCH", f"{_REPO}/check-runs/{{check_run_id}}", "checks")
def _edit_check(server: Server, who: Identity, given: Any, asked: Any, check_run_id: int) -> tuple[int, Any]:
    _check_shown(server, check_run_id)
    if who.kind != "app":
        raise Refusal(403, "You must authenticate via a GitHub App.")
    _set_check(server, server.state.checks[check_run_id], given)
    return 200, _check_shown(server, check_run_id)


@route("GET", f"{_REPO}/commits/{{ref}}/check-runs")
def _checks(server: Server, who: Identity, given: Any, asked: Mapping[str, str], ref: str) -> tuple[int, Any]:
    found = [_check_shown(server, one) for one in sorted(server.state.checks, reverse=True)]
    name = asked.get("check_name")
    found = [one for one in found if one["head_sha"] == ref and name in (None, one["name"])]
    if asked.get("filter", "latest") == "latest":
        found = list({one["name"]: one for one in reversed(found)}.values())
    return 200, _Listed(found, "check_runs")


@route("POST", f"{_REPO}/statuses/{{sha}}", "statuses")
def _create_status(server: Server, who: Identity, given: Any, asked: Any, sha: str) -> tuple[int, Any]:
    if not server.knows(sha):
        raise invalid(f"No commit found for SHA: {sha}")
    if len(given.get("description") or "") > 140:
        raise invalid("description is too long (maximum is 140 characters)")
    fields = {key: given.get(key) for key in ("state", "description", "target_url")}
    kept = {
        "id": server.next_id(),
        "sha": sha,
        "context": given.get("context") or "default",
        **fields,
        "login": who.login,
    }
    server.state.statuses.append(kept)
    return 201, _status_shown(server, kept)


def _status_shown(server: Server, kept: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: kept[key] for key in ("id", "state", "description", "target_url", "context")}
    return {**shown, "creator": server.account(kept["login"])}


@route("GET", f"{_REPO}/commits/{{ref}}/statuses")
def _statuses(server: Server, who: Identity, given: Any, asked: Any, ref: str) -> tuple[int, Any]:
    return 200, _Listed([_status_shown(server, one) for one in reversed(server.state.statuses) if one["sha"] == ref])


class _Requests(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, served: Server, *arguments: Any) -> None:
        self.served = served
        super().__init__(*arguments)

    def log_message(self, *arguments: Any) -> None:
        pass

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(int(length) if length.isdecimal() else 0)
        headers = {key.lower(): value for key, value in self.headers.items()}
        status, more, content, fault = self.served.serve(self.command, self.path, headers, body)
        self.close_connection = True
        if fault is not None and fault.kind == "timeout":
            self.served.wait()
            return
        if fault is not None and fault.kind == "reset":
            # A linger of nothing turns the close into a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        if fault is not None and fault.kind == "truncated":
            content = content[: len(content) // 2]
        self.send_response(status)
        for key, value in more.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if status != 204 and self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_TRACE = _serve
