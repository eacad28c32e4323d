"""For tests that need the real sandbox."""

import os

import pytest

from course.sandbox import why_not


def needs_sandbox() -> None:
    """Skip where the sandbox cannot run; fail instead where the environment says COURSE_REQUIRE_SANDBOX=1."""
    reason = why_not()
    if reason is None:
        return
    if os.environ.get("COURSE_REQUIRE_SANDBOX") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
