"""The tables ACCESS: every API has one, and what the rows name is in the requests."""

import pytest

from kafkalike.broker.access import REFUSED, Access, Operation, Resource, refusals
from kafkalike.broker.dispatch import load_apis
from kafkalike.protocol.messages import by_key
from kafkalike.protocol.schema import Struct
from tests.broker.valid_requests import BASES, World, module

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


def requests(api):
    """Sensible requests of an API."""
    for use, fields in BASES.items():
        if module(use).API_KEY == api.key:
            yield api.request(**fields(World("x")))


def told(struct):
    """(the names and numbers beside it, the error code) of each error code in a response."""
    if hasattr(struct, "error_code"):
        yield {str(value) for value in struct_values(struct)}, struct.error_code
    for value in struct_values(struct):
        for each in value if isinstance(value, list) else ():
            if isinstance(each, Struct):
                yield from told(each)


def struct_values(struct):
    return [getattr(struct, field.name) for field in struct.fields]


WITHOUT_WORDS = [(api, row) for api, row in ROWS if row.each and api.failed is None]


@pytest.mark.parametrize(("api", "row"), WITHOUT_WORDS, ids=lambda value: getattr(value, "name", ""))
def test_what_is_refused_of_a_list_is_answered_with_the_error_of_its_kind(api, row):
    """As the messages are declared, without a word of the API's module."""
    elements = next(filter(None, (getattr(request, row.each) for request in requests(api))))
    version = min(api.newest, row.versions[1])
    answer = refusals(api.response, version, elements, REFUSED[row.resource])
    found = list(told(answer))
    assert found and {REFUSED[row.resource]} == {code for _, code in found if code}
    first = elements[0] if isinstance(elements[0], str) else str(getattr(elements[0], row.name or "resource_type"))
    assert first in str(answer)
    assert answer.encode(version)
