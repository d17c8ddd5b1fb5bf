"""One call to GitHub's API at a time: how it is sent, when it is sent again, and what is never said.

Promises that a call that was not carried out for a passing reason is repeated, that a write that may have been carried
out is never simply repeated (`Unsure`), that waiting is capped, and that no token stands in an error or in a dry run.
The rules, for at most `Patience.attempts` attempts of a call:

- 429, and 403 that speaks of a rate limit: nothing was done. Wait as long as Retry-After or the reset of the limit
  says, one minute where neither does (docs.github.com, "Best practices for using the REST API"); give up at once when
  that is longer than `Patience.longest`.
- 5xx, timeouts, broken connections and answers cut short: wait 1, 2, 4, ... seconds. What can be done twice without
  harm (all but POST, and those POSTs that say `repeatable`) is sent again. For the others `Unsure` is raised, and
  `bot.github.once` looks at what is there before it tries again.
- Every other answer of 300 or more is final: `Refused`, with its status.
"""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

from bot.report.escaping import clean
from harness.errors import UserError

if TYPE_CHECKING:
    from github import Github

Verb = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]

PUBLIC_API = "https://api.github.com"
GRAPHQL = "/graphql"
"""Stands for the address of the GraphQL API, which on GitHub Enterprise is not below that of the REST API."""

SECONDS_PER_CALL = 30
SECONDS_BETWEEN_WRITES = 1.0
"""What GitHub asks for, to stay clear of its secondary limits."""
WITHOUT_A_WORD = 60.0
"""Seconds to wait on a rate limit that does not say how long it lasts."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_LIMITED = re.compile(r"(?i)rate limit|abuse detection")


class GithubError(UserError):
    """GitHub did not do what was asked; the sentence says what, and what to do."""


class Refused(GithubError):
    """A final answer of 300 or more. `status` is its number."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Limited(GithubError):
    """A rate limit that lasts longer than our patience."""


class Unsure(GithubError):
    """A write got no proper answer: it may have been carried out, or not."""


@dataclass(frozen=True)
class Call:
    """One request. `path` begins with a slash, or is the address of a next page as GitHub gave it."""

    verb: Verb
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    repeatable: bool | None = None
    """Whether it may be sent again without looking. None: all verbs but POST may."""

    @property
    def harmless_twice(self) -> bool:
        """Whether it may be sent again without looking."""
        return self.verb != "POST" if self.repeatable is None else self.repeatable

    def __str__(self) -> str:
        query = f"?{urllib.parse.urlencode(self.query)}" if self.query else ""
        return f"{self.verb} {urllib.parse.urlsplit(self.path).path}{query}"


@dataclass(frozen=True)
class Answer:
    """A good answer: its headers in lower case, and what its JSON says (None for an empty body)."""

    headers: Mapping[str, str]
    content: Any


class Send(Protocol):
    """Carries out a call. Raises Refused, Unsure or GithubError."""

    def __call__(self, call: Call) -> Answer:
        """Carry out the call."""
        ...


@dataclass(frozen=True)
class Patience:
    """How often a call is tried and how long is waited in between, in seconds. Tests bring their own clock."""

    attempts: int = 5
    first: float = 1.0
    most: float = 30.0
    longest: float = 900.0
    settling: float = 3.0
    """Seconds between a write that others may overwrite and the look whether they did."""
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    """Seconds since 1970, which GitHub's limits are reset by."""

    def settle(self) -> None:
        """Wait until whoever read before our last write has written too."""
        self.sleep(self.settling)

    def pause(self, attempt: int) -> None:
        """Wait before attempt number `attempt` + 1, the first being number 1."""
        self.sleep(min(self.first * 2 ** (attempt - 1), self.most))


class Sender:
    """Sends calls with PyGithub, which knows addresses, headers and the kinds of tokens.

    `url` is the address of the REST API, also that of a GitHub Enterprise server (`https://HOST/api/v3`). Raises
    UserError for an address that a token must not be sent to.
    """

    def __init__(
        self,
        token: str,
        *,
        url: str = PUBLIC_API,
        patience: Patience | None = None,
        timeout: int = SECONDS_PER_CALL,
        between_writes: float = SECONDS_BETWEEN_WRITES,
    ) -> None:
        self.url = checked_url(url)
        self._github = _github(token, self.url, timeout)
        self._patience = patience or Patience()
        self._between_writes = between_writes
        self._last_write: float | None = None

    def __call__(self, call: Call) -> Answer:
        """Carry out the call, with the patience described on top."""
        patience = self._patience
        for attempt in range(1, patience.attempts + 1):
            last = attempt == patience.attempts
            self._keep_apart(call)
            try:
                status, headers, text = self._exchange(call)
            except RuntimeError:
                # PyGithub's word for a redirection to another server. Following it would take the token there.
                raise GithubError(f"{call} was redirected to another server; look at --api-url") from None
            except OSError as error:
                # requests' errors are OSErrors. Their text holds addresses and reprs, so only the kind is told.
                self._broken(call, f"no answer ({type(error).__name__})", last)
            else:
                if status < 300:
                    try:
                        return Answer(headers, json.loads(text) if text.strip() else None)
                    except ValueError:
                        self._broken(call, "an answer that was cut short", last)
                elif (wait := self._limit(status, headers, text)) is not None:
                    if last or wait > patience.longest:
                        raise Limited(
                            f"GitHub's rate limit stands in the way of {call} for {wait:.0f} s more; "
                            "run it again later, or with another token"
                        )
                    patience.sleep(wait)
                    continue
                elif status >= 500:
                    self._broken(call, f"status {status}", last)
                else:
                    _refuse(call, status, text)
            patience.pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _exchange(self, call: Call) -> tuple[int, Mapping[str, str], str]:
        requester = self._github.requester
        path = requester.graphql_url if call.path == GRAPHQL else call.path
        if not path.startswith("/") and urllib.parse.urlsplit(path).netloc != urllib.parse.urlsplit(self.url).netloc:
            raise GithubError("GitHub pointed to a page on another server, which is not followed; look at --api-url")
        try:
            status, headers, text = requester.requestJson(
                call.verb, path, parameters=dict(call.query) or None, input=call.body
            )
        finally:
            if call.verb != "GET":
                self._last_write = self._patience.clock()
        return status, headers, text if isinstance(text, str) else ""

    def _keep_apart(self, call: Call) -> None:
        if call.verb != "GET" and self._last_write is not None:
            rest = self._last_write + self._between_writes - self._patience.clock()
            if rest > 0:
                self._patience.sleep(rest)

    def _limit(self, status: int, headers: Mapping[str, str], text: str) -> float | None:
        """Seconds to wait when the answer is a rate limit's, None when it is not."""
        spent = headers.get("x-ratelimit-remaining") == "0"
        if status != 429 and not (status == 403 and (spent or "retry-after" in headers or _LIMITED.search(text))):
            return None
        if (after := headers.get("retry-after", "")).isdecimal():
            return float(after)
        if spent and (reset := headers.get("x-ratelimit-reset", "")).isdecimal():
            return max(float(reset) - self._patience.wall(), 0.0) + 1.0
        return WITHOUT_A_WORD

    def _broken(self, call: Call, what: str, last: bool) -> None:
        if not call.harmless_twice:
            raise Unsure(f"{call} got {what}: it may have been carried out or not; look there, then run it again")
        if last:
            raise GithubError(
                f"{call} got {what}, {self._patience.attempts} times; look whether {self.url} is up and run it again"
            )


def checked_url(url: str) -> str:
    """The address of an API without a slash at its end.

    Raises UserError unless it is https, or http on this machine: a token must not travel in the clear.
    """
    parts = urllib.parse.urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not safe or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise UserError(
            f"{clean(parts.scheme + '://' + (parts.hostname or ''))!r} cannot be the address of GitHub's API; "
            f"write it as {PUBLIC_API} or https://HOST/api/v3"
        )
    return url.rstrip("/")


def _github(token: str, url: str, timeout: int) -> Github:
    # requests comes with it, and its import takes longer than --help may.
    import github

    # PyGithub's own repetitions know neither what can be done twice nor our clock.
    return github.Github(
        auth=github.Auth.Token(token),
        base_url=url,
        timeout=timeout,
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
        user_agent="torchwarden",
    )


_ADVICE = {
    401: "give a valid token in TORCHWARDEN_TOKEN or GITHUB_TOKEN",
    403: "give the token the permission for it, see docs/github.md",
    404: "look at the name and the number, and whether the token may see them",
    410: "look whether issues are switched off in this repository",
}


def _refuse(call: Call, status: int, text: str) -> NoReturn:
    advice = _ADVICE.get(status, "look at what it says")
    raise Refused(f"GitHub refused {call} with {status} ({_message(text)}); {advice}", status)


def _message(text: str) -> str:
    """What an answer says of itself, short and in visible characters."""
    try:
        content = json.loads(text)
    except ValueError:
        return "without a reason"
    said = content.get("message") if isinstance(content, dict) else None
    return clean(said, 200) if isinstance(said, str) and said.strip() else "without a reason"


class Dry:
    """Sends nothing: tells every call, and answers as a repository does that holds nothing yet but `files` (by path),
    whose pull request is at `head_sha`, and to which everybody may write.

    What is made is remembered, so that a list which is read again holds it.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        url: str = PUBLIC_API,
        head_sha: str = "",
        login: str = "dry-run",
        files: Callable[[str], bytes | None] | None = None,
    ) -> None:
        self._files = files
        self._tell = tell
        self._url = url
        self._head_sha = head_sha
        self._login = login
        self._made: dict[str, list[Any]] = {}

    def __call__(self, call: Call) -> Answer:
        """Tell the call and answer it."""
        self._tell(f"{call.verb} {self._url}{str(call).partition(' ')[2]}")
        for key, value in (call.body or {}).items():
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            self._tell(f"  {key}: " + "\n    ".join(shown.splitlines()))
        if call.path == GRAPHQL:
            return Answer({}, {"data": {"viewer": {"login": self._login}}})
        if "per_page" in call.query:
            return Answer({}, self._made.get(call.path, []))
        told = {key: value for key, value in (call.body or {}).items() if isinstance(value, str)}
        content = {**self._blank(call.path), **told}
        if self._files is not None and (found := re.search(r"/contents/(.+)", call.path)):
            if (file := self._files(found[1])) is None:
                raise Refused(f"there is no file {found[1]} here", 404)
            content["content"] = base64.b64encode(file).decode()
        if call.verb == "POST":
            self._made.setdefault(call.path, []).append(content)
        return Answer({}, content)

    def _blank(self, path: str) -> dict[str, Any]:
        """Every field that an answer is read for, with next to nothing in it."""
        texts = ("name", "title", "html_url", "sha", "context", "status", "head_sha")
        end = {"sha": self._head_sha, "ref": "", "repo": {"full_name": "/".join(path.split("/")[2:4])}}
        return {
            **dict.fromkeys(texts, ""),
            **{"permission": "write", "default_branch": "main", "merge_base_commit": {"sha": "0" * 40}},
            **{"id": 0, "number": 0, "login": self._login, "user": {"login": self._login}, "state": "open"},
            **{"head": end, "base": end, "object": {"sha": "0" * 40}, "tree": {"sha": "0" * 40}},
            **{"event": "", "type": "file", "encoding": "base64"},
        }
