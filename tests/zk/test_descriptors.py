"""The limit of file descriptors."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from zk.descriptors import raise_limit


def test_the_limit_is_raised_as_far_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: given.append(limits))
    assert 4096 == raise_limit() and [(4096, 4096)] == given
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: (_ for _ in ()).throw(ValueError("not allowed")))
    assert 1024 == raise_limit()
