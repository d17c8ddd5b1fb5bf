"""Backends that do to a graph what a broken compiler would, and one that does nothing."""

import ctypes
import os
import time


def fine(graph, inputs):
    """Runs the graph as it is."""
    return graph.forward


def noisy(graph, inputs):
    """Adds noise of a hundredth to every output."""
    import torch

    def run(*arguments):
        return tuple(out + 1e-2 * torch.randn_like(out) for out in graph(*arguments))

    return run


def raises(graph, inputs):
    """Cannot compile anything."""
    raise RuntimeError("this backend compiles nothing")


def hangs(graph, inputs):
    """Never comes back."""
    time.sleep(3600)


def exhausts(graph, inputs):
    """Is killed as the kernel does when memory runs out."""
    os.kill(os.getpid(), 9)


def crashes(graph, inputs):
    """Reads address 0."""
    ctypes.string_at(0)


def four_bits(graph, inputs):
    """Rounds every weight to four bits, as a careless quantiser would: sixteen steps for a whole matrix."""
    import torch

    def rounded(tensor):
        if not isinstance(tensor, torch.nn.Parameter) or tensor.dim() < 2:
            return tensor
        step = tensor.detach().abs().max() / 7
        return (tensor.detach() / step).round().clamp(-8, 7) * step

    def run(*arguments):
        return graph(*map(rounded, arguments))

    return run
