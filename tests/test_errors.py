from __future__ import annotations

import pytest

from whoismesh import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.WhoismeshError("x"), 1),
        (errors.DumpError("x"), 1),
        (errors.MessageError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.AddressError("x"), 2),
        (errors.UnavailableError("x"), 69),
        (errors.TryAgainError("x"), 75),
        (errors.ConfigError("x"), 78),
        (errors.StateError("x"), 78),
    ],
)
def test_every_error_has_the_exit_code_of_its_kind(error: errors.WhoismeshError, code: int) -> None:
    assert error.exit_code == code
    assert str(error) == "x"


def test_a_bad_address_is_a_value_error_too() -> None:
    assert issubclass(errors.AddressError, ValueError)


def test_a_configuration_error_lists_its_problems() -> None:
    error = errors.ConfigError("one", "two")
    assert error.problems == ("one", "two")
    assert str(error) == "one; two"
