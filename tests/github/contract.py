"""Every exchange with the server, judged by GitHub's own description with openapi-core.

The requests are what PyGithub sent, the answers what our fake gave: neither may differ from what GitHub documents.
"""

from __future__ import annotations

import functools
import json
import re
import urllib.parse
from collections.abc import Iterable

from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from tests.github import openapi
from tests.github.server import Exchange

HOST = "http://127.0.0.1"


@functools.cache
def description() -> OpenAPI:
    return OpenAPI.from_dict(openapi.load())


def judge(exchanges: Iterable[Exchange]) -> int:
    """Validate requests and answers, and return how many; raises openapi-core's error for the first that is not right.

    Of calls that met a fault, what was asked is judged. GraphQL is not part of the description.
    """
    return _judge(exchanges, requests=True)


def judge_answers(exchanges: Iterable[Exchange]) -> int:
    """As `judge`, of the answers alone: for requests that are wrong on purpose."""
    return _judge(exchanges, requests=False)


_right: set[tuple[object, ...]] = set()
"""Exchanges that were found right; the many tests of one flow repeat most of theirs to the byte."""


def _judge(exchanges: Iterable[Exchange], *, requests: bool) -> int:
    judged = 0
    for one in exchanges:
        if one.path.endswith("/graphql"):
            continue
        said = (one.method, one.path, one.query, one.body, one.status, one.answer, one.fault is None, requests)
        if said in _right:
            judged += 1
            continue
        request = MockRequest(
            HOST,
            one.method.lower(),
            _path(one.path),
            args=urllib.parse.parse_qs(one.query, keep_blank_values=True),
            headers=dict(one.headers),
            data=one.body or None,
            content_type="application/json",
        )
        if requests:
            description().validate_request(request)
        judged += 1
        if one.fault is not None:
            _right.add(said)
            continue
        if one.status >= 400:
            # Not every refusal is declared for every operation; all look alike.
            assert isinstance(json.loads(one.answer)["message"], str)
            _right.add(said)
            continue
        answer = MockResponse(
            one.answer, status_code=one.status, headers=dict(one.answer_headers), content_type="application/json"
        )
        description().validate_response(request, answer)
        _right.add(said)
    return judged


def _path(path: str) -> str:
    """The path with the slashes of its last parameter escaped: openapi-core takes a parameter for one segment."""
    match = re.fullmatch(r"(/repos/[^/]+/[^/]+/(?:contents|git/refs?)/)(.+)", path)
    return match[1] + match[2].replace("/", "%2F") if match else path
