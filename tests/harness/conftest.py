"""What the tests of the harness share."""

import pytest


@pytest.fixture
def one_thread():
    """Run torch on one thread, which is what the suites promise, and what makes two runs agree bitwise."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
