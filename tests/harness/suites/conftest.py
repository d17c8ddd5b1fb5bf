"""Every test of a suite runs on one thread."""

import pytest


@pytest.fixture(autouse=True)
def on_one_thread(one_thread):
    """See `one_thread`."""
