"""The micro-kernels are private to PyTorch: a release without them, or with others, is not used."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
import torch

from onnuri import kernels
from onnuri.base.errors import UserError
from onnuri.kernels import backends
from onnuri.kernels.config import KernelConfig
from onnuri.kernels.native import library
from onnuri.kernels.native.library import library as compiled

NATIVE_OPERATIONS = ("attention", "linear_cross_entropy")


@pytest.fixture(autouse=True)
def probed_again() -> Iterator[None]:
    """What was found is kept for the process; each test looks for itself."""
    if "not compiled" in library.missing(torch.float32):
        pytest.skip("the native kernels are not compiled")
    library.missing.cache_clear()
    yield
    library.missing.cache_clear()
    compiled.cache_clear()


def refused(dtype: torch.dtype) -> str:
    """What asking for the native kernels by name says; auto must have taken PyTorch's."""
    chosen = backends.select(KernelConfig(), "cpu", dtype)
    assert [chosen[operation].backend for operation in NATIVE_OPERATIONS] == ["torch", "torch"]
    with pytest.raises(UserError) as found:
        backends.select(KernelConfig(attention="native"), "cpu", dtype)
    return str(found.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_torch_without_micro_kernels(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(library.PRODUCTS, dtype, "_ZN2at6native7cpublas6brgemmEv")
    assert f"torch {torch.__version__} has no oneDNN micro-kernels" in refused(dtype)


def test_a_library_of_other_sources_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """An updated checkout that was not installed again: its functions would read other arguments."""
    compiled.cache_clear()
    monkeypatch.setattr(library, "VERSION", library.VERSION + 1)
    assert "compiled for another version of Onnuri; install the package again" in refused(torch.float32)
    said = kernels.choose(KernelConfig(), "cpu", torch.float32).describe()
    assert "attention torch (not native: it was compiled for another version of Onnuri; install" in said


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_function_that_computes_something_else(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the name, and leaves the sums as they were."""
    nothing = ctypes.CFUNCTYPE(None)(lambda: None)
    monkeypatch.setattr(library, "of_pytorch", lambda name: ctypes.cast(nothing, ctypes.c_void_p))
    assert "no micro-kernel for this processor" in refused(dtype)
