"""Errors for the person at the keyboard."""

import pytest

from onnuri.base.errors import UserError, optional_package


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(UserError) as error, optional_package("hf", "recipe=hf"):
        import no_such  # noqa: F401
    assert str(error.value) == "recipe=hf needs the package no_such: pip install 'onnuri[hf]'"
