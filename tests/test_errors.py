"""Errors for the person at the keyboard."""

import pytest

from onnuri.errors import UserError, optional_package


def test_a_missing_package_names_its_extra() -> None:
    with (
        pytest.raises(
            UserError, match=r"^recipe=hf needs the package no_such: pip install 'onnuri\[hf\]'$"
        ),
        optional_package("hf", "recipe=hf"),
    ):
        import no_such  # noqa: F401
