"""Every operation is a method of the blocking Admin; tests/client/admin has the operations."""

import pytest

from kafkalike.client.admin import brokers, configs, groups, offsets, replicas, topics
from kafkalike.client.blocking.admin import Admin
from kafkalike.client.twisted.admin import Admin as DeferredAdmin


@pytest.mark.parametrize("face", [Admin, DeferredAdmin])
def test_each_operation_is_a_method_of_each_face(face: type) -> None:
    operations = {
        name: function
        for module in (brokers, configs, groups, offsets, replicas, topics)
        for name, function in vars(module).items()
        if getattr(function, "__module__", None) == module.__name__
        and not name.startswith("_")
        and not isinstance(function, type)
    }
    assert operations == {name: o.steps for name, o in vars(face).items() if hasattr(o, "steps")}
