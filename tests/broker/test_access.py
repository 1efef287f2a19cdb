"""The tables ACCESS: every API has one, and what the rows name is in the requests."""

import pytest

from kafkalike.broker.access import REFUSED, Access, Operation, Resource
from kafkalike.broker.dispatch import load_apis
from kafkalike.protocol.messages import by_key

ROWS = [(api, row) for api in load_apis().values() for row in api.access]


@pytest.mark.parametrize(("api", "row"), ROWS, ids=lambda value: getattr(value, "name", ""))
def test_a_row_names_fields_that_the_request_has(api, row):
    fields = {field.name: field for field in by_key(api.key).Request.fields}
    assert row.operation in Operation and row.resource in REFUSED
    assert 0 <= row.versions[0] <= row.versions[1]
    if row.each:
        assert fields[row.each].many
        fields = {field.name: field for field in fields[row.each].of.fields} if row.name else {}
    if row.name:
        assert row.name in fields
    assert row.resource is Resource.CLUSTER or row.name or row.each


def test_only_what_describes_the_connection_itself_or_the_brokers_needs_no_leave():
    assert ["ApiVersions", "DescribeCluster"] == sorted(api.name for api in load_apis().values() if not api.access)


def test_a_row_counts_for_its_versions_and_requests():
    row = Access(Operation.READ, versions=(2, 3), when=bool)
    assert [row.counts(version, "yes") for version in (1, 2, 3, 4)] == [False, True, True, False]
    assert not row.counts(2, "")
