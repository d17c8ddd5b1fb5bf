"""The name of a test as the bot knows it: `harness.testname`, where the formats of other tools read it too."""

from __future__ import annotations

from harness.testname import TestName, canonical, is_test_name, listed, parse_test_name, quoted

__all__ = ["TestName", "canonical", "is_test_name", "listed", "parse_test_name", "quoted"]
