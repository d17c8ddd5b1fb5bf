"""Counts the instructions of a step, from within a process that runs under Callgrind.

Started as `valgrind --tool=callgrind --instr-atstart=no ... python -m harness.counting ORDER RESULT` by
`harness.callgrind`. Callgrind is told by its client requests (the Valgrind manual, "The Client Request mechanism"; for
C they are macros, here a few bytes of machine code) to count around the steps and nowhere else: importing torch and
warming up run uncounted, which is some ten times as fast, and what an import costs does not enter a step's count.

Runs inside foreign builds: standard library and torch only.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import pathlib
import platform
import sys
from collections.abc import Callable, Mapping
from typing import Any

from harness import benchmark, nursery, worker
from harness.injection import Injection

_RUNNING_ON_VALGRIND = 0x1001
_CALLGRIND = (ord("C") << 24) + (ord("T") << 16)
UNCOUNTED_STEPS = 3
"""Steps with counters before the first that counts."""
ZERO, DUMP_AT, START = _CALLGRIND + 1, _CALLGRIND + 3, _CALLGRIND + 4

# A request is a sequence of instructions that does nothing and that Valgrind knows: four rotations that cancel out, and
# an exchange of a register with itself. The address of six words (the request and its arguments) and a default answer
# are in fixed registers.
_MACHINE_CODE = {
    # mov rax, rdi; xor rdx, rdx; rol rdi by 3, 13, 61, 51; xchg rbx, rbx; mov rax, rdx; ret
    "x86_64": "48 89 f8 48 31 d2 48 c1 c7 03 48 c1 c7 0d 48 c1 c7 3d 48 c1 c7 33 48 87 db 48 89 d0 c3",
}


class Unsupported(Exception):
    """No request can be made here; the message says why."""


def client_requests() -> Callable[[int, int], int]:
    """The function that makes a request with one argument; outside of Valgrind it does nothing and returns 0.

    Raises `Unsupported` on a processor whose sequence is not known, or where no memory may be executed.
    """
    if platform.machine() not in _MACHINE_CODE:
        raise Unsupported(f"client requests are known for {', '.join(_MACHINE_CODE)} only, not {platform.machine()}")
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError as error:
        raise Unsupported(f"memory that can be executed cannot be had ({error.strerror})") from None
    page.write(bytes.fromhex(_MACHINE_CODE[platform.machine()]))
    held = ctypes.c_char.from_buffer(page)
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(ctypes.addressof(held))

    def request(number: int, argument: int = 0) -> int:
        words = (ctypes.c_uint64 * 6)(number, argument)
        # `held` keeps the page, and with it the code, alive.
        return int(call(ctypes.addressof(words))) if held is not None else 0

    return request


def count(order: Mapping[str, Any]) -> dict[str, Any]:
    """Build the step of an order, and have Callgrind write a file for each of `steps` steps.

    `order` is that of `harness.worker.serve`, with `steps`, `preload` (modules), and `products`: how many products of
    injected work follow each step, fitted outside of Valgrind, where their time is what it is. Raises `Unsupported`
    outside of Callgrind, and whatever the step raises.
    """
    request = client_requests()
    if not request(_RUNNING_ON_VALGRIND):
        raise Unsupported("the process does not run under Valgrind")
    for module in order["preload"]:
        importlib.import_module(module)
    benchmark.load(order["suite"])
    import torch

    step = worker.Step(order)
    extra = None
    if order["products"]:
        extra = Injection(str(order["device"]), 1.0, lambda: 0.0)
        extra.count = int(order["products"])

    def once() -> None:
        step.once()
        if extra is not None:
            extra()

    once()
    request(START)
    # Translates the step's code anew, with its counters; and Python rewrites its own bytecode while it warms up.
    for _ in range(UNCOUNTED_STEPS):
        once()
    for number in range(int(order["steps"])):
        name = ctypes.create_string_buffer(f"step {number}".encode())
        # Not counted: for CUDA it formats the whole stack, some ten thousand instructions that differ every time.
        torch.manual_seed(int(order["seed"]))
        request(ZERO)
        once()
        request(DUMP_AT, ctypes.addressof(name))
    capability = getattr(torch.backends.cpu, "get_cpu_capability", None)
    return {"kernels": str(capability()) if capability is not None else ""}


def main() -> None:
    """Obey the order in the file that is the first argument, and leave the outcome in the second."""
    nursery.die_with_parent()
    order = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.path += order["path"]
    try:
        found = count(order)
    except BaseException as error:
        text = str(error) if isinstance(error, Unsupported) else f"{type(error).__name__}: {error}"
        found = {"reason": text[: worker.MAXIMUM_TEXT]}
    pathlib.Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
