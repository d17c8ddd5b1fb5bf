import os
import pathlib
import subprocess
import sys

import pytest

from harness import builds, buildspec
from harness.errors import UserError
from tests import sessions


def _script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def current():
    pytest.importorskip("torch")
    return sessions.build()


def test_the_current_build_is_this_interpreter_with_its_torch(current):
    import torch

    assert (current.name, current.python) == ("head", sys.executable)
    assert current.torch_version == str(torch.__version__)
    assert current.python_version == ".".join(map(str, sys.version_info[:3]))
    assert current.packages["torch"] == current.torch_version.partition("+")[0]
    assert list(current.packages) == sorted(current.packages)
    assert "PyTorch built with" in current.torch_config
    if sys.platform == "linux":
        assert current.code_bytes > (pathlib.Path(torch.__file__).parent / "lib" / "libc10.so").stat().st_size


def test_a_build_has_its_own_name_and_the_fingerprint_of_what_it_holds(current, tmp_path):
    same = _script(tmp_path / "python", f'exec {sys.executable} "$@"')
    found = builds.resolve(buildspec.parse(f"my.build-1_x={same}", "base"), dict(os.environ))
    assert (found.name, found.python) == ("my.build-1_x", same)
    assert found.fingerprint == current.fingerprint


def test_an_interpreter_is_found_from_anywhere(current, tmp_path, monkeypatch):
    _script(tmp_path / "python", f'exec {sys.executable} "$@"')
    # As in a checkout of PyTorch, where `torch` is a folder of sources.
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('these are sources')")
    monkeypatch.chdir(tmp_path)
    found = builds.resolve(buildspec.parse("./python", "head"), dict(os.environ))
    assert found.torch_version == current.torch_version
    assert found.python == str(tmp_path / "python")


def test_an_interpreter_without_torch_is_no_build(tmp_path):
    bare = _script(tmp_path / "python", f'exec {sys.executable} -S "$@"')
    with pytest.raises(UserError) as error:
        builds.resolve(buildspec.parse(f"bare={bare}", "head"), {})
    assert f"the interpreter {bare} has no working torch (ModuleNotFoundError" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: "nothing", "there is no build 'nothing'"),
        (lambda folder: f"new={folder}/absent", "there is no build"),
        (lambda folder: f"new={folder}", "there is no build"),
        (lambda folder: "new=", "the build new is named but not given"),
        (lambda folder: "=current", "'' cannot name a build"),
        (lambda folder: "a b=current", "'a b' cannot name a build"),
        (lambda folder: "../up=current", "there is no build '../up=current'"),
        (lambda folder: "a]=current", "cannot name a build"),
        (lambda folder: "/bin/true", "does not behave as a Python interpreter (no output)"),
        (lambda folder: _script(folder / "x", "echo hello"), "does not behave as a Python interpreter"),
        (lambda folder: _script(folder / "x", "echo broken >&2; exit 1"), "Python interpreter (broken)"),
    ],
)
def test_a_wrong_build_is_one_sentence(tmp_path, make, sentence):
    with pytest.raises(UserError) as error:
        builds.resolve(buildspec.parse(make(tmp_path), "head"), dict(os.environ))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_run_is_one_sentence(tmp_path):
    path = tmp_path / "python"
    path.write_text("not a program")
    with pytest.raises(UserError, match="cannot be run"):
        builds.resolve(buildspec.parse(str(path), "head"), dict(os.environ))


def test_a_build_without_cuda_cannot_measure_on_it(current):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(UserError, match="sees no CUDA device"):
        builds.resolve(buildspec.parse("current", "head"), dict(os.environ), device="cuda")


def test_the_worker_tree_is_a_package_that_needs_nothing_of_ours(tmp_path):
    builds.copy_worker_tree(tmp_path / "tree" / "harness")
    assert {path.name for path in (tmp_path / "tree" / "harness").iterdir()} == set(builds.WORKER_MODULES)
    assert not list(tmp_path.rglob("__pycache__"))
    done = subprocess.run(
        # Without site-packages.
        [sys.executable, "-S", "-c", "import harness.nursery; print(harness.nursery.__file__)"],
        env={"PYTHONPATH": str(tmp_path / "tree")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert pathlib.Path(done.stdout.strip()) == tmp_path / "tree" / "harness" / "nursery.py"


X86 = """PyTorch built with:
  - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 20240605 for Intel(R) 64 architecture applications
  - Intel(R) MKL-DNN v3.12.0 (Git Hash 80afa71049cd69a3df32adcccb623b12cd7baa22)
  - Build settings: BLAS_INFO=mkl, BUILD_TYPE=Release, USE_MKL=ON, USE_MKLDNN=ON
"""
ARM = """PyTorch built with:
  - Intel(R) MKL-DNN v3.7.1 (Git Hash 8d263e693366ef8db40acc569cc7d8edf644556d)
  - Build settings: BLAS_INFO=open, BUILD_TYPE=Release, USE_MKL=OFF, USE_MKLDNN=ON
"""


def test_libraries_of_a_build_for_x86():
    probed = {"torch_config": X86, "onednn": True, "acl": False, "kernels": "AVX512"}
    probed["instructions"] = ["sse", "avx512_bf16", "amx_bf16"]
    assert builds.libraries(probed) == {
        "oneDNN": "3.12.0",
        "MKL": "2024.2",
        "kernels": "AVX512",
        "instructions": "avx512_bf16 amx_bf16",
    }


def test_libraries_of_a_build_for_arm():
    probed = {"torch_config": ARM, "onednn": True, "acl": True, "kernels": "SVE256", "instructions": ["bf16", "sve"]}
    assert builds.libraries(probed) == {
        "oneDNN": "3.7.1",
        "ACL": "yes",
        "OpenBLAS": "yes",
        "kernels": "SVE256",
        "instructions": "bf16 sve",
    }
    without = {"torch_config": ARM, "onednn": True, "acl": False}
    assert builds.libraries(without) == {"oneDNN": "3.7.1", "OpenBLAS": "yes"}


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/venv/lib/python3.11/site-packages/torch/lib/libopenblas.so.0", True),
        ("/venv/lib/python3.11/site-packages/torch.libs/libopenblasp-r0.3.29.so", True),
        ("/venv/lib/python3.11/site-packages/numpy.libs/libscipy_openblas64_.so", False),
    ],
)
def test_an_openblas_counts_where_it_is_torchs(path, there):
    assert ("OpenBLAS" in builds.libraries({"maps": f"7f00-7f01 r-xp 00000000 08:01 1 {path}\n"})) == there


def test_a_build_that_tells_nothing_has_no_libraries():
    assert builds.libraries({}) == {}


def test_the_current_build_tells_its_libraries(current):
    import torch

    assert ("oneDNN" in current.libraries) == torch.backends.mkldnn.is_available()
    assert ("MKL" in current.libraries) == torch.backends.mkl.is_available()
    assert all(current.libraries.values())
