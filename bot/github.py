"""GitHub, as far as the bot speaks to it: a few operations on one repository.

Promises that every operation is one call or one list read to its last page, that what comes back is decoded strictly
into the fields that are used, and that no name goes into a path that does not match a tight pattern. How calls are sent
and sent again is `bot.calls`; whoever creates something uses `once`, so that a lost answer leaves no duplicate.
"""

from __future__ import annotations

import base64
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from bot.calls import GRAPHQL, Answer, Call, GithubError, Patience, Refused, Send, Unsure
from harness.errors import UserError
from harness.testname import quoted

PER_PAGE = 100
MOST_PAGES = 100
"""10,000 comments; an answer that always names a next page must not keep us forever."""

CheckConclusion = Literal["success", "failure", "neutral", "action_required"]
StatusState = Literal["success", "failure", "error", "pending"]
ReactionContent = Literal["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"]

_T = TypeVar("_T")

_NAME = r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}"
_PATTERNS: dict[str, tuple[re.Pattern[str], str]] = {
    "repository": (re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,99}}/{_NAME}"), "OWNER/NAME"),
    "commit": (re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"), "40 hexadecimal digits"),
    "login": (re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\[bot\])?"), "the name of an account"),
    "branch": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*"), "letters, digits, ., -, _ and /"),
    "path": (re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*"), "a path inside the repository"),
    "workflow": (re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.ya?ml|[0-9]{1,20}"), "a file such as perf.yml"),
    "label": (re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:+-]{0,49}"), "letters, digits, spaces and _.:+-"),
}


def checked(value: str, kind: str) -> str:
    """`value`, if it is what a `kind` looks like: repository, commit, login, branch, path, workflow or label.

    Raises UserError otherwise.
    """
    pattern, form = _PATTERNS[kind]
    dotted = kind != "label" and any(part in (".", "..") or part.endswith(".lock") for part in value.split("/"))
    if len(value) > 250 or not pattern.fullmatch(value) or dotted:
        raise UserError(f"{quoted(value)} cannot be a {kind}; write {form}")
    return value


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what GitHub answers: the fields that are used. Others are ignored, for GitHub adds some every month."""


class Account(Part, frozen=True, kw_only=True):
    """Who did something."""

    login: str


class Comment(Part, frozen=True, kw_only=True):
    """A comment on an issue or a pull request. `user` is None when the account is gone."""

    id: int
    user: Account | None
    body: str | None = None
    html_url: str = ""

    @property
    def text(self) -> str:
        """The body with newlines as we write them; GitHub may give them back as browsers send them."""
        return (self.body or "").replace("\r\n", "\n")


class Home(Part, frozen=True, kw_only=True):
    """A repository."""

    full_name: str


class End(Part, frozen=True, kw_only=True):
    """One end of a pull request. `repo` is None when the fork is gone."""

    sha: str
    ref: str
    repo: Home | None = None


class PullRequest(Part, frozen=True, kw_only=True):
    """A pull request."""

    number: int
    state: str
    head: End
    base: End
    title: str = ""
    body: str | None = None
    html_url: str = ""
    merged_at: str | None = None


class Label(Part, frozen=True, kw_only=True):
    """A label."""

    name: str


class Issue(Part, frozen=True, kw_only=True):
    """An issue; `pull_request` is set when it is really a pull request."""

    number: int
    title: str
    state: str
    user: Account | None
    body: str | None = None
    state_reason: str | None = None
    labels: tuple[Label, ...] = ()
    assignees: tuple[Account, ...] = ()
    html_url: str = ""
    pull_request: dict[str, Any] | None = None


class CheckRun(Part, frozen=True, kw_only=True):
    """A check run."""

    id: int
    name: str
    status: str
    external_id: str | None = None
    conclusion: str | None = None
    html_url: str | None = None


class CommitStatus(Part, frozen=True, kw_only=True):
    """A commit status."""

    context: str
    state: str
    description: str | None = None
    target_url: str | None = None


class Permission(Part, frozen=True, kw_only=True):
    """What an account may do here: admin, write, read or none; `role_name` is finer (maintain, triage, ...)."""

    permission: str
    role_name: str = ""

    @property
    def may_write(self) -> bool:
        """Whether it is write or more."""
        return self.permission in ("admin", "write")


class WorkflowRun(Part, frozen=True, kw_only=True):
    """A run of a workflow."""

    id: int
    event: str
    status: str | None
    head_sha: str
    conclusion: str | None = None
    created_at: str = ""
    html_url: str = ""
    display_title: str = ""
    run_started_at: str = ""
    updated_at: str = ""


class _Push(Part, frozen=True, kw_only=True):
    after: str
    timestamp: str


class _Sha(Part, frozen=True, kw_only=True):
    sha: str


class _Comparison(Part, frozen=True, kw_only=True):
    merge_base_commit: _Sha


class _Ref(Part, frozen=True, kw_only=True):
    object: _Sha


class _Commit(Part, frozen=True, kw_only=True):
    sha: str
    tree: _Sha


class _File(Part, frozen=True, kw_only=True):
    type: str
    content: str = ""
    encoding: str = ""


class _Repository(Part, frozen=True, kw_only=True):
    default_branch: str


class _Viewer(Part, frozen=True, kw_only=True):
    data: dict[Literal["viewer"], Account]


class Client:
    """One repository on GitHub. `send` carries calls out; `login` is the account of its token where that is known, and
    `patience` says how long `once` and others wait between attempts.

    All operations raise `bot.calls.GithubError`; those that create may raise its subclass Unsure, see `once`.
    """

    def __init__(
        self, repository: str, send: Send, *, login: str | None = None, patience: Patience | None = None
    ) -> None:
        self.repository = checked(repository, "repository")
        self._send = send
        self._login = checked(login, "login") if login is not None else None
        self.patience = patience or Patience()

    def login(self) -> str:
        """The account that writes with this token.

        Tokens of Actions and of Apps may not ask the REST API who they are; GraphQL tells them.
        """
        if self._login is None:
            try:
                self._login = self._read(Call("GET", "/user"), Account).login
            except Refused as error:
                if error.status not in (403, 404):
                    raise
                call = Call("POST", GRAPHQL, body={"query": "query { viewer { login } }"}, repeatable=True)
                self._login = self._read(call, _Viewer).data["viewer"].login
        return self._login

    def once(self, create: Callable[[], _T], look: Callable[[], _T | None]) -> _T:
        """What `create` makes, made once: when its answer is lost, `look` says whether it is there already."""
        for attempt in range(1, self.patience.attempts + 1):
            try:
                return create()
            except Unsure:
                self.patience.pause(attempt)
                if (found := look()) is not None:
                    return found
                if attempt == self.patience.attempts:
                    raise
        raise AssertionError("the last attempt returns or raises")

    # Pull requests

    def pull_request(self, number: int) -> PullRequest:
        """A pull request by number."""
        return self._read(Call("GET", self._at("pulls", number)), PullRequest)

    def pull_requests(self, *, state: str = "open", head: str | None = None) -> Iterator[PullRequest]:
        """Pull requests, those that changed last first; with `head` those from the branch OWNER:BRANCH."""
        query: dict[str, str | int] = {"state": state, "sort": "updated", "direction": "desc"}
        if head is not None:
            owner, _, branch = head.partition(":")
            query["head"] = f"{checked(owner, 'login')}:{checked(branch, 'branch')}"
        return self._list(self._at("pulls"), PullRequest, query)

    def pushed(self, end: End) -> str | None:
        """When the head of a pull request was pushed, ISO 8601 by GitHub's clock.

        None where that cannot be known: a fork that is private or gone, or a branch that is elsewhere by now.
        """
        if end.repo is None:
            return None
        path = f"/repos/{checked(end.repo.full_name, 'repository')}/activity"
        query: dict[str, str | int] = {"ref": f"refs/heads/{end.ref}", "direction": "desc", "per_page": 1}
        try:
            found = self._read(Call("GET", path, query), list[_Push])
        except Refused as error:
            if error.status not in (403, 404, 422):
                raise
            return None
        return found[0].timestamp if found and found[0].after == end.sha else None

    def create_pull_request(self, *, title: str, body: str, head: str, base: str) -> PullRequest:
        """Open a pull request from the branch `head` of this repository."""
        names = {"head": checked(head, "branch"), "base": checked(base, "branch")}
        return self._read(Call("POST", self._at("pulls"), body={"title": title, "body": body, **names}), PullRequest)

    def update_pull_request(self, number: int, **fields: str) -> PullRequest:
        """Change title, body or state."""
        return self._read(Call("PATCH", self._at("pulls", number), body=fields), PullRequest)

    # Issues and their comments; a pull request is an issue too

    def issue(self, number: int) -> Issue:
        """An issue by number."""
        return self._read(Call("GET", self._at("issues", number)), Issue)

    def issues(self, *, state: str = "all", labels: Sequence[str] = (), creator: str | None = None) -> Iterator[Issue]:
        """Issues (not pull requests) with all these labels, newest first."""
        query: dict[str, str | int] = {"state": state}
        if labels:
            query["labels"] = ",".join(checked(label, "label") for label in labels)
        if creator is not None:
            query["creator"] = checked(creator, "login")
        return (found for found in self._list(self._at("issues"), Issue, query) if found.pull_request is None)

    def create_issue(
        self, *, title: str, body: str, labels: Sequence[str] = (), assignees: Sequence[str] = ()
    ) -> Issue:
        """Open an issue. GitHub refuses it with 422 when one of the assignees cannot be assigned."""
        fields = {"title": title, "body": body, "labels": [checked(label, "label") for label in labels]}
        if assignees:
            fields["assignees"] = [checked(login, "login") for login in assignees]
        return self._read(Call("POST", self._at("issues"), body=fields), Issue)

    def update_issue(self, number: int, **fields: Any) -> Issue:
        """Change title, body, state, state_reason, labels or assignees."""
        return self._read(Call("PATCH", self._at("issues", number), body=fields), Issue)

    def add_labels(self, number: int, labels: Sequence[str]) -> None:
        """Add labels to an issue; those it has stay."""
        named = [checked(label, "label") for label in labels]
        self._send(Call("POST", self._at("issues", number, "labels"), body={"labels": named}, repeatable=True))

    def remove_label(self, number: int, label: str) -> None:
        """Take a label from an issue; nothing happens when it has none of that name."""
        self._delete(self._at("issues", number, "labels", urllib.parse.quote(checked(label, "label"), safe="")))

    def create_label(self, name: str, *, color: str, description: str = "") -> None:
        """Make a label in the repository, if there is none of that name."""
        fields = {"name": checked(name, "label"), "color": color, "description": description}
        try:
            self._send(Call("POST", self._at("labels"), body=fields, repeatable=True))
        except Refused as error:
            if error.status != 422:
                raise
            # 422 is also what a bad colour gets; so look whether the label is really there.
            self._send(Call("GET", self._at("labels", urllib.parse.quote(name, safe=""))))

    def comments(self, number: int) -> Iterator[Comment]:
        """All comments on an issue or pull request, oldest first."""
        return self._list(self._at("issues", number, "comments"), Comment)

    def create_comment(self, number: int, body: str) -> Comment:
        """Comment on an issue or pull request."""
        return self._read(Call("POST", self._at("issues", number, "comments"), body={"body": body}), Comment)

    def update_comment(self, identifier: int, body: str) -> Comment:
        """Replace the body of a comment. May raise Unsure: what it was made from may be old by now, so read again."""
        at = self._at("issues", "comments", identifier)
        return self._read(Call("PATCH", at, body={"body": body}, repeatable=False), Comment)

    def delete_comment(self, identifier: int) -> None:
        """Delete a comment; nothing happens when it is gone."""
        self._delete(self._at("issues", "comments", identifier))

    def react(self, comment: int, content: ReactionContent) -> None:
        """React to a comment; the same reaction twice is one."""
        at = self._at("issues", "comments", comment, "reactions")
        self._send(Call("POST", at, body={"content": content}, repeatable=True))

    # Who may, and workflows

    def permission(self, login: str) -> Permission:
        """What an account may do in this repository."""
        at = self._at("collaborators", urllib.parse.quote(checked(login, "login"), safe=""), "permission")
        try:
            return self._read(Call("GET", at), Permission)
        except Refused as error:
            if error.status != 404:
                raise
            return Permission(permission="none")

    def dispatch(self, workflow: str, *, ref: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow that has `workflow_dispatch`. May raise Unsure: look at `workflow_runs` then."""
        at = self._at("actions", "workflows", checked(workflow, "workflow"), "dispatches")
        self._send(Call("POST", at, body={"ref": checked(ref, "branch"), "inputs": dict(inputs)}))

    def workflow_runs(self, workflow: str, *, event: str | None = None) -> Iterator[WorkflowRun]:
        """Runs of a workflow, newest first."""
        at = self._at("actions", "workflows", checked(workflow, "workflow"), "runs")
        return self._list(at, WorkflowRun, {"event": event} if event else {}, key="workflow_runs")

    # Checks and statuses

    def check_runs(self, sha: str, name: str) -> Iterator[CheckRun]:
        """Check runs of that name on a commit, newest first, superseded ones too."""
        at = self._at("commits", checked(sha, "commit"), "check-runs")
        return self._list(at, CheckRun, {"check_name": name, "filter": "all"}, key="check_runs")

    def create_check_run(self, sha: str, fields: Mapping[str, Any]) -> CheckRun:
        """Make a check run on a commit; `fields` as the API names them."""
        body = {"head_sha": checked(sha, "commit"), **fields}
        return self._read(Call("POST", self._at("check-runs"), body=body), CheckRun)

    def statuses(self, sha: str) -> Iterator[CommitStatus]:
        """All statuses of a commit, newest first."""
        return self._list(self._at("commits", checked(sha, "commit"), "statuses"), CommitStatus)

    def create_status(
        self, sha: str, *, context: str, state: StatusState, description: str, target_url: str = ""
    ) -> CommitStatus:
        """Set a commit's status in a context; the newest counts."""
        fields = {"context": context, "state": state, "description": description}
        if target_url:
            fields["target_url"] = target_url
        return self._read(Call("POST", self._at("statuses", checked(sha, "commit")), body=fields), CommitStatus)

    # Files

    def default_branch(self) -> str:
        """The name of the default branch."""
        return self._read(Call("GET", self._at()), _Repository).default_branch

    def file(self, path: str, ref: str) -> bytes | None:
        """A file at a commit or branch; None when it is not there. GitHub gives up to 1 MiB this way."""
        at = self._at("contents", checked(path, "path"))
        try:
            found = self._read(Call("GET", at, {"ref": checked(ref, "branch")}), _File)
        except Refused as error:
            if error.status != 404:
                raise
            return None
        if found.type != "file" or found.encoding != "base64":
            raise GithubError(f"{path} in {self.repository} is no file of at most 1 MiB; name another")
        return base64.b64decode(found.content)

    def branch(self, name: str) -> str | None:
        """The commit a branch is at; None when there is no such branch."""
        try:
            return self._read(Call("GET", self._at("git", "ref", "heads", checked(name, "branch"))), _Ref).object.sha
        except Refused as error:
            if error.status != 404:
                raise
            return None

    def merge_base(self, base: str, head: str) -> str:
        """The commit that two branches or commits have both grown from."""
        path = self._at("compare", f"{checked(base, 'branch')}...{checked(head, 'branch')}")
        return self._read(Call("GET", path), _Comparison).merge_base_commit.sha

    def commit_files(self, parent: str, files: Mapping[str, bytes], message: str) -> str:
        """Make a commit on top of `parent` with these files changed, and return its name. No branch moves.

        Objects in Git are named by what they hold, so a call that is sent twice leaves nothing behind.
        """
        base = self._read(Call("GET", self._at("git", "commits", checked(parent, "commit"))), _Commit).tree.sha
        entries = []
        for path, content in files.items():
            body = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
            blob = self._read(Call("POST", self._at("git", "blobs"), body=body, repeatable=True), _Sha).sha
            entries.append({"path": checked(path, "path"), "mode": "100644", "type": "blob", "sha": blob})
        body_of_tree = {"base_tree": base, "tree": entries}
        tree = self._read(Call("POST", self._at("git", "trees"), body=body_of_tree, repeatable=True), _Sha).sha
        fields = {"message": message, "tree": tree, "parents": [parent]}
        return self._read(Call("POST", self._at("git", "commits"), body=fields, repeatable=True), _Sha).sha

    def set_branch(self, name: str, sha: str, *, force: bool = False) -> None:
        """Let a branch point to a commit; make it where it is not there."""
        heads = f"heads/{checked(name, 'branch')}"
        target = checked(sha, "commit")

        def create() -> str:
            fields = {"ref": f"refs/{heads}", "sha": target}
            return self._read(Call("POST", self._at("git", "refs"), body=fields), _Ref).object.sha

        now = self.branch(name)
        if now is None:
            now = self.once(create, lambda: self.branch(name))
        if now != target:
            self._send(Call("PATCH", self._at("git", "refs", heads), body={"sha": target, "force": force}))

    def delete_branch(self, name: str) -> None:
        """Delete a branch; nothing happens when it is gone."""
        self._delete(self._at("git", "refs", "heads", checked(name, "branch")))

    def _at(self, *parts: str | int) -> str:
        return "/".join(["/repos", self.repository, *map(str, parts)])

    def _read(self, call: Call, kind: type[_T]) -> _T:
        return _converted(self._send(call).content, kind, call)

    def _delete(self, path: str) -> None:
        try:
            self._send(Call("DELETE", path))
        except Refused as error:
            # Gone already, by an earlier attempt of ours or by somebody else. A missing label is a 404 too.
            if error.status not in (404, 410):
                raise

    def _list(
        self, path: str, kind: type[_T], query: Mapping[str, str | int] | None = None, *, key: str = ""
    ) -> Iterator[_T]:
        """All elements of a list, over all its pages; `key` is where an answer holds them, "" when it is the list."""
        call = Call("GET", path, {**(query or {}), "per_page": PER_PAGE})
        for _ in range(MOST_PAGES):
            answer = self._send(call)
            found = answer.content
            if key and isinstance(found, dict):
                found = found.get(key)
            yield from _converted(found, list[kind], call)  # type: ignore[valid-type]
            if (following := _next_page(answer)) is None:
                return
            call = Call("GET", following)
        raise GithubError(f"{call} has more than {MOST_PAGES} pages, which is not read; tidy up there")


def _converted(content: Any, kind: type[_T], call: Call) -> _T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise GithubError(f"{call} got an answer that is not GitHub's ({error}); look at --api-url") from None


def _next_page(answer: Answer) -> str | None:
    """The address in the Link header with rel="next" (RFC 8288)."""
    for link in answer.headers.get("link", "").split(","):
        found = re.fullmatch(r'\s*<([^>]+)>\s*;.*\brel="next".*', link)
        if found:
            return found[1]
    return None
