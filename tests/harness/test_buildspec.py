import datetime

import pytest

from harness.buildspec import parse
from harness.errors import UserError


@pytest.mark.parametrize(
    ("written", "name", "kind", "text"),
    [
        ("current", "head", "current", "current"),
        ("new=current", "new", "current", "current"),
        ("/opt/x/bin/python", "head", "path", "/opt/x/bin/python"),
        ("new=../x/python", "new", "path", "../x/python"),
        ("torch==2.13.0", "head", "requirement", "torch==2.13.0"),
        ("old=torch==2.13.0", "old", "requirement", "torch==2.13.0"),
        ("torch >= 2.6 torchvision", "head", "requirement", "torch >= 2.6 torchvision"),
        ("torch[extra]~=2.6", "head", "requirement", "torch[extra]~=2.6"),
        ("torch @ https://host/torch.whl", "head", "wheel", "torch @ https://host/torch.whl"),
        ("torch<3", "head", "requirement", "torch<3"),
        ("torch!=2.7", "head", "requirement", "torch!=2.7"),
        ("dist/torch-2-cp311-linux_x86_64.whl", "head", "wheel", "dist/torch-2-cp311-linux_x86_64.whl"),
        ("https://host/t.whl#sha256=abc", "head", "wheel", "https://host/t.whl#sha256=abc"),
        ("w=https://host/t.whl#sha256=abc", "w", "wheel", "https://host/t.whl#sha256=abc"),
        ("nightly:2026-11-24", "head", "nightly", "nightly:20261124"),
        ("n=nightly:20261124", "n", "nightly", "nightly:20261124"),
        ("git:main", "head", "git", "git:main"),
        ("base=git:HEAD~3", "base", "git", "git:HEAD~3"),
        ("git:feature/x=y", "head", "git", "git:feature/x=y"),
    ],
)
def test_a_build_is_named_in_many_ways(written, name, kind, text):
    found = parse(written, "head")
    assert (found.name, found.kind, found.text) == (name, kind, text)
    assert found.made == (kind not in ("current", "path"))


def test_a_nightly_without_a_day_is_todays():
    day = parse("nightly", "head").text.partition(":")[2]
    assert abs(datetime.datetime.strptime(day, "%Y%m%d") - datetime.datetime.now()).days <= 1


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("a b=current", "'a b' cannot name a build"),
        ("=current", "'' cannot name a build"),
        ("x=", "the build x is named but not given"),
        ("", "is named but not given"),
        ("nightly:2026-13-01", "names no day"),
        ("nightly:yesterday", "names no day"),
    ],
)
def test_what_names_no_build_is_one_sentence(written, said):
    with pytest.raises(UserError) as error:
        parse(written, "head")
    assert said in str(error.value)
