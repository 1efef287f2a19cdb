"""What a test calls what it makes: the same in each run, and nothing that another test uses."""

from __future__ import annotations

import hashlib

import pytest


def identity(request: pytest.FixtureRequest) -> str:
    """What this test is called, wherever the tree lies and whichever worker runs it."""
    file, _, function = request.node.location
    return f"{file}::{function}"


def own_name(request: pytest.FixtureRequest) -> str:
    """A name for this test's topics, groups and znodes. Always the same: a group's name says who coordinates it."""
    return f"t-{hashlib.sha256(identity(request).encode()).hexdigest()[:10]}"
