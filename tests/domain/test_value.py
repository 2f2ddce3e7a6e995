"""What every value refuses."""

import pytest
from support.instances import an_instance


def test_a_copy_with_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="Instance has no field public_address"):
        an_instance("inst-000000000001").with_fields(public_address="203.0.113.7")


def test_a_copy_takes_every_field_that_exists() -> None:
    assert an_instance("inst-000000000001").with_fields(public_ip="203.0.113.7").public_ip == "203.0.113.7"
