"""Triton's interpreter, fit to prove a kernel: right arithmetic in bf16, every access to memory checked.

Set TRITON_INTERPRET=1 before the kernels are imported, and call `install()`.

What Triton 3.7 does by itself: bf16 is held as uint16 and sums, products and comparisons work on the bit
pattern (triton issues 4972 and 11584: not supported); casts to bf16 truncate. Here they go through
float32 and round to nearest even, as the hardware does. This reaches into private classes of Triton: the
tests of `tests/kernels/numbers/test_interpreter.py` fail when a release changes them.

What is checked at each launch:
- each lane of each load and store lies within a tensor that was an argument of the launch;
- no two programs store to the same element, no program loads what another stores, and the lanes of one
  store have different addresses. Such a kernel gives the same bits in whatever order its programs run.

What this cannot see: the hardware's asynchronous copies and barriers, layouts, and what the compiler does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import triton.language as tl
from triton.runtime import interpreter

Builder = interpreter.InterpreterBuilder
Handle = interpreter.TensorHandle
COMPARISONS = {np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal}
NOBODY, SEVERAL = -1, -2


def _is_bf16(*handles: Any) -> bool:
    return any(getattr(handle.dtype, "scalar", None) == tl.bfloat16 for handle in handles)


def _widen(handle: Any) -> np.ndarray:
    """The values of a bf16 handle as float32; another handle's values as they are."""
    if not _is_bf16(handle):
        return handle.data
    return (handle.data.astype(np.uint32) << 16).view(np.float32)


def _narrow(values: np.ndarray) -> Any:
    """A bf16 handle of float32 values, rounded to nearest even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return Handle(np.where(np.isnan(values), np.uint16(0x7FC0), rounded), tl.bfloat16)


def _repair_arithmetic() -> None:
    binary_op, ternary_op, unary_op = Builder.binary_op, Builder.ternary_op, Builder.unary_op
    create_dot, create_fma, create_fabs = Builder.create_dot, Builder.create_fma, Builder.create_fabs
    cast_impl, create_fp_to_fp = Builder.cast_impl, Builder.create_fp_to_fp
    reduce_impl = interpreter.ReduceOps.apply_impl

    def binary(self: Any, left: Any, right: Any, op: Any) -> Any:
        if not _is_bf16(left, right):
            return binary_op(self, left, right, op)
        value = op(_widen(left), _widen(right))
        return Handle(value, tl.int1) if op in COMPARISONS else _narrow(value)

    def ternary(self: Any, first: Any, second: Any, third: Any, op: Any) -> Any:
        if op is np.where or not _is_bf16(third):  # a choice moves bits
            return ternary_op(self, first, second, third, op)
        return _narrow(op(*(_widen(handle) for handle in (first, second, third))))

    def unary(self: Any, argument: Any, op: Any) -> Any:
        return _narrow(op(_widen(argument))) if _is_bf16(argument) else unary_op(self, argument, op)

    def rsqrt(self: Any, argument: Any) -> Any:
        return self.unary_op(argument, lambda values: 1 / np.sqrt(values))

    def absolute(self: Any, argument: Any) -> Any:
        return unary(self, argument, np.abs) if _is_bf16(argument) else create_fabs(self, argument)

    def dot(self: Any, left: Any, right: Any, total: Any, precision: Any, imprecise: Any) -> Any:
        if not _is_bf16(left, right, total):
            return create_dot(self, left, right, total, precision, imprecise)
        value = np.matmul(_widen(left), _widen(right), dtype=np.float32) + _widen(total)
        return _narrow(value) if _is_bf16(total) else Handle(value, total.dtype.scalar)

    def fma(self: Any, left: Any, right: Any, total: Any) -> Any:
        if not _is_bf16(total):
            return create_fma(self, left, right, total)
        return _narrow(_widen(left) * _widen(right) + _widen(total))

    def cast(self: Any, source: Any, kind: Any) -> Any:
        if kind.scalar == tl.bfloat16 and not _is_bf16(source):
            return _narrow(source.data.astype(np.float32))
        if _is_bf16(source) and kind.scalar != tl.bfloat16:
            return Handle(_widen(source).astype(interpreter._get_np_dtype(kind)), kind.scalar)
        return cast_impl(self, source, kind)

    def convert(self: Any, source: Any, kind: Any, rounding: Any) -> Any:
        exact = {tl.bfloat16, tl.float16, tl.float32, tl.float64}
        if {source.dtype.scalar, kind.scalar} <= exact:
            return cast(self, source, kind)
        return create_fp_to_fp(self, source, kind, rounding)

    def reduce(self: Any, tensors: Any) -> Any:
        """In float32, and rounded once at the end."""
        if not _is_bf16(*(tensor.handle for tensor in tensors)):
            return reduce_impl(self, tensors)
        wide = tuple(self.to_tensor(_widen(tensor.handle), tl.float32) for tensor in tensors)
        result = reduce_impl(self, wide)
        several = isinstance(result, list | tuple)
        narrow = [self.to_tensor(_narrow(part.handle.data).data, tl.bfloat16) for part in (
            result if several else [result]
        )]  # fmt: skip
        return tuple(narrow) if several else narrow[0]

    Builder.binary_op, Builder.ternary_op, Builder.unary_op = binary, ternary, unary
    Builder.create_dot, Builder.create_fma, Builder.create_fabs = dot, fma, absolute
    Builder.create_rsqrt = rsqrt
    Builder.cast_impl, Builder.create_fp_to_fp = cast, convert
    interpreter.ReduceOps.apply_impl = reduce


class KernelFault(RuntimeError):
    """A kernel touched what it must not. Triton wraps it in an InterpreterError that quotes it."""


class _Storage:
    """The memory behind one or more arguments: which elements they cover, who stored to and loaded each."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.base = tensor.untyped_storage().data_ptr()
        self.step = tensor.element_size()
        elements = tensor.untyped_storage().nbytes() // self.step
        self.covered = np.zeros(elements, bool)
        self.writer = np.full(elements, NOBODY, np.int32)
        self.reader = np.full(elements, NOBODY, np.int32)
        self.lane = np.empty(elements, np.int32)

    def cover(self, tensor: torch.Tensor) -> None:
        if tensor.element_size() != self.step:
            raise KernelFault("arguments of different element sizes share memory")
        start = tensor.storage_offset()
        view = torch.from_numpy(self.covered)[start:].as_strided(tensor.shape, tensor.stride())
        view.fill_(True)

    def elements(
        self, addresses: np.ndarray, size: int, action: str, program: tuple[int, ...]
    ) -> np.ndarray:
        """Indices of the addressed elements, all of them covered by arguments."""
        indices, rest = np.divmod(addresses.view(np.int64) - self.base, self.step)
        bad = int(np.count_nonzero((rest != 0) | (indices < 0) | (indices >= len(self.covered))))
        if not bad and size == self.step:
            bad = indices.size - int(np.count_nonzero(self.covered[indices]))
        if bad or size != self.step:
            raise KernelFault(f"out-of-bounds {action} by program {program}: {bad} of {indices.size} lanes")
        return indices

    def load(self, indices: np.ndarray, program: int) -> str:
        """Note it down; what is wrong with it, or nothing."""
        writers, readers = self.writer[indices], self.reader[indices]
        if np.any((writers != NOBODY) & (writers != program)):
            return "load where another program stored"
        self.reader[indices] = np.where((readers == NOBODY) | (readers == program), program, SEVERAL)
        return ""

    def store(self, indices: np.ndarray, program: int) -> str:
        """Note it down; what is wrong with it, or nothing."""
        writers, readers = self.writer[indices], self.reader[indices]
        if np.any((writers != NOBODY) & (writers != program)):
            return "store where another program stored"
        if np.any((readers != NOBODY) & (readers != program)):
            return "store where another program loaded"
        lanes = np.arange(indices.size, dtype=np.int32)
        self.lane[indices] = lanes
        if not np.array_equal(self.lane[indices], lanes):
            return "store of two lanes to one element"
        self.writer[indices] = program
        return ""


class _Watch:
    """The memory of the launch under way."""

    def __init__(self, arguments: list[Any]) -> None:
        storages: dict[int, _Storage] = {}
        for tensor in (value for value in arguments if isinstance(value, torch.Tensor)):
            base = tensor.untyped_storage().data_ptr()
            if base not in storages:
                storages[base] = _Storage(tensor)
            storages[base].cover(tensor)
        self.storages = [storages[base] for base in sorted(storages)]
        self.bases = np.array(sorted(storages), np.uint64)

    def check(self, pointers: Any, mask: Any, action: str) -> None:
        addresses = pointers.data[np.broadcast_to(mask.data, pointers.data.shape)].ravel()
        if not addresses.size:
            return
        x, y, z = interpreter.interpreter_builder.grid_idx
        width, height, _ = interpreter.interpreter_builder.grid_dim
        size = max(1, pointers.get_element_ty().primitive_bitwidth // 8)
        index = int(np.searchsorted(self.bases, addresses.min(), "right")) - 1
        if index < 0:
            raise KernelFault(f"out-of-bounds {action} by program {(x, y, z)}: below every argument")
        # One access has one base, so lanes that lie beyond this storage are out of bounds.
        storage = self.storages[index]
        indices = storage.elements(addresses, size, action, (x, y, z))
        fault = getattr(storage, action)(indices, x + width * (y + height * z))
        if fault:
            raise KernelFault(f"race: program {(x, y, z)} has a {fault}")


def _check_memory() -> None:
    masked_load, masked_store = Builder.create_masked_load, Builder.create_masked_store
    call = interpreter.GridExecutor.__call__
    watches: list[_Watch] = []

    def load(self: Any, pointers: Any, mask: Any, *rest: Any, **options: Any) -> Any:
        watches[-1].check(pointers, mask, "load")
        return masked_load(self, pointers, mask, *rest, **options)

    def store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any, **options: Any) -> Any:
        watches[-1].check(pointers, mask, "store")
        return masked_store(self, pointers, value, mask, *rest, **options)

    def refuse(self: Any, *_: Any) -> None:
        raise KernelFault("an access of a kind that is not checked (atomics, block pointers)")

    def launch(self: Any, *arguments: Any, **keywords: Any) -> None:
        described = [getattr(each, "base", each) for each in (*arguments, *keywords.values())]
        watches.append(_Watch(described))
        try:
            call(self, *arguments, **keywords)
        finally:
            watches.pop()

    Builder.create_masked_load, Builder.create_masked_store = load, store
    Builder.create_atomic_cas = Builder.create_atomic_rmw = refuse
    Builder.create_make_block_ptr = refuse
    interpreter.GridExecutor.__call__ = launch


def _patch_language_once() -> None:
    """Triton patches its language anew at each call of a function within a kernel: a fifth of the time."""
    patched: set[str] = set()

    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if self.fn.__module__ not in patched:
            patched.add(self.fn.__module__)
            interpreter._patch_lang(self.fn)
        return self.rewrite()(*arguments, **keywords)

    interpreter.InterpretedFunction.__call__ = call


def install() -> None:
    """Repair the arithmetic and check memory from here on, in this process. Once is enough."""
    if not hasattr(Builder, "repaired"):
        Builder.repaired = True
        _repair_arithmetic()
        _check_memory()
        _patch_language_once()
