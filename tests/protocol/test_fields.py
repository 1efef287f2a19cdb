"""Fields: the versions they exist in, and what may be sent for them."""

from kafkalike.protocol.fields import parse_range
from kafkalike.protocol.schema import Struct, array, int32, string


class Inner(Struct):
    number = int32("2+")
    name = string("1-3", nullable="3+")
    many = array(int32, "5")


def test_ranges():
    assert parse_range("3+") == (3, 32767)
    assert parse_range("3") == (3, 3)
    assert parse_range("3-5") == (3, 5)


def test_a_field_exists_in_its_versions_and_is_nullable_in_some() -> None:
    number, name, many = Inner.fields
    assert [2, 3, 4] == [version for version in range(5) if number.exists_in(version)]
    assert [1, 2, 3] == [version for version in range(6) if name.exists_in(version)]
    assert [3, 4] == [version for version in range(5) if name.nullable_in(version)]
    assert many.many and many.exists_in(5) and not many.exists_in(6) and not many.nullable_in(5)
    assert ["number", "name", "many"] == [field.name for field in Inner.fields]
