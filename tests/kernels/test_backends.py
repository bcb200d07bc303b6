"""Choosing implementations, and those that run on a CPU beside float64."""

import inspect
import subprocess
import sys
import typing
from dataclasses import fields, replace
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri import kernels
from onnuri.base.errors import UserError
from onnuri.kernels import REFERENCE, KernelConfig, Kernels, choice
from onnuri.kernels import varlen as by_varlen
from onnuri.kernels.attention_mask import attention_mask
from onnuri.kernels.backends import FUNCTIONS, load, select
from onnuri.kernels.config import BACKENDS
from onnuri.kernels.native.library import missing
from onnuri.kernels.verification.cases import DRAW, TOLERANCE, errors
from tests.soak import tries

PUBLIC = {name: operation for operation, names in FUNCTIONS.items() for name in names}


def test_a_cpu_takes_what_is_compiled_and_never_loads_triton() -> None:
    for dtype in TOLERANCE:
        there = dict.fromkeys(
            ("attention", "linear_cross_entropy"), "torch" if missing(dtype) else "native"
        )
        found = {name: choice.backend for name, choice in select(KernelConfig(), "cpu", dtype).items()}
        assert found == dict.fromkeys(BACKENDS, "torch") | there
    program = (
        "import sys, onnuri.model.decoder; from onnuri import kernels; "
        "kernels.choose(kernels.KernelConfig(), 'cpu'); assert 'triton' not in sys.modules; "
        "print(kernels.choose(kernels.KernelConfig('torch'), 'cpu').describe())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    line = "kernels: attention torch, rms_norm torch, rope torch, swiglu torch, linear_cross_entropy torch"
    assert result.stdout.strip() == line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "triton"}, "kernels.backend=triton: it needs an NVIDIA GPU, the device is cpu; "),
        ({"attention": "native"}, "kernels.attention=native: it takes bf16 and fp32, not float16; set"),
        ({"attention": "flash"}, "kernels.attention=flash: .*; set kernels.attention=auto"),
        (
            {"attention": "varlen"},
            "kernels.attention=varlen: it needs an NVIDIA GPU, the device is cpu; set",
        ),
        ({"attention": "cudnn"}, "kernels.attention=cudnn: it needs an NVIDIA GPU, the device is cpu; set"),
        ({"linear_cross_entropy": "liger"}, "kernels.linear_cross_entropy=liger: .*; set kernels"),
    ],
)
def test_what_is_not_there_is_one_error(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        select(KernelConfig(**options), "cpu", torch.float16)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match=r"kernels.attention=flahs is not known.*did you mean 'flash'"):
        KernelConfig(attention="flahs")
    with pytest.raises(UserError, match=r"kernels.backend=flash is not known"):
        KernelConfig(backend="flash")
    with pytest.raises(UserError, match=r"kernels.rope=liger is not known"):
        KernelConfig(rope="liger")


def test_one_operation_can_differ() -> None:
    chosen = kernels.choose(KernelConfig("torch", attention="reference"), "cpu")
    assert chosen.describe().startswith("kernels: attention reference, rms_norm torch")
    assert replace(chosen, attention=REFERENCE.attention, choices=REFERENCE.choices) == REFERENCE


def test_every_implementation_has_the_public_signature() -> None:
    assert [field.name for field in fields(KernelConfig)] == ["backend", *BACKENDS]
    protocols = typing.get_type_hints(Kernels)
    assert [*protocols] == [*PUBLIC, "choices"]
    public = {}
    for name in PUBLIC:
        _, *parameters = (signature := inspect.signature(protocols[name].__call__)).parameters.values()
        public[name] = signature.replace(parameters=parameters)
    for operation, backends in BACKENDS.items():
        for backend in set(backends) - {"flash"}:  # its signature is written in the test below
            for name, function in load(operation, backend, "cpu").items():
                assert inspect.signature(function) == public[name]


def test_auto_takes_the_fastest_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so; without figures a rule decides, by whether blocks are compiled."""
    there = ["reference", "torch", "triton", "varlen", "cudnn"]
    monkeypatch.setattr(choice, "measured", dict)
    assert choice.fastest("attention", there, 90, True)[0] == "triton"
    assert choice.fastest("attention", [*there, "flash"], 90, True)[0] == "flash"
    assert choice.fastest("attention", ["reference", "torch"], 90, True)[0] == "torch"
    assert choice.fastest("swiglu", there, 90, compiled=True)[0] == "torch"
    assert choice.fastest("swiglu", there, 90, compiled=False)[0] == "triton"
    times = {
        "attention": {"flash": 1.0, "varlen": 2.5, "triton": 3.0},
        "swiglu": {"triton": 1.0, "torch": 2.0},
    }
    table = {"90": {"source": "an H100, torch 2.11", "compiled": times, "eager": {}}}
    monkeypatch.setattr(choice, "measured", lambda: table)
    found = choice.fastest("attention", there, 90, True)
    assert found == ("varlen", "fastest of varlen 2.5 ms, triton 3 ms on an H100, torch 2.11")
    assert choice.fastest("swiglu", there, 90, compiled=True)[0] == "triton"
    assert choice.fastest("attention", there, 90, compiled=False)[0] == "triton"
    assert choice.fastest("attention", there, 100, True)[0] == "triton"


def test_documents_that_branch_need_a_backend_that_knows_them() -> None:
    for backend in ("varlen", "cudnn", "flash"):
        with pytest.raises(UserError, match=f"attention={backend}: it takes no shared prompts"):
            select(KernelConfig(attention=backend), "cuda", branched=True)
    heads = torch.zeros(2, 8, 2, 64)
    mask = attention_mask(2, 8, branches=torch.tensor([3, 5]))
    with pytest.raises(UserError, match="attention=cudnn takes no documents that branch"):
        load("attention", "cudnn", "cpu")["attention"](heads, heads, heads, mask)
    with pytest.raises(UserError, match="attention=varlen takes no documents that branch"):
        by_varlen._forward(heads, heads, heads, *mask)


def test_cudnn_refuses_documents_and_windows() -> None:
    heads = torch.zeros(2, 8, 2, 64)
    for mask in (
        attention_mask(2, 8, torch.tensor([0, 3, 8, 16])),
        attention_mask(2, 8, window=4),
    ):
        with pytest.raises(UserError, match="attention=cudnn takes whole rows"):
            load("attention", "cudnn", "cpu")["attention"](heads, heads, heads, mask)


def test_flash_attention_that_is_missing_is_said() -> None:
    with pytest.raises(UserError, match="no flash-attn for this GPU is installed"):
        load("attention", "flash", "cpu")


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", DRAW)
@settings(max_examples=tries(5, 60), deadline=None, derandomize=True)
@given(random=st.randoms(use_true_random=False))
def test_pytorch_beside_float64(name: str, dtype: torch.dtype, random: Random) -> None:
    case = DRAW[name](random, 700 if name == "attention" else 300)
    public = "apply_rope" if name == "rope" else name
    # PyTorch's attention rounds sums of gradients to half precision: fp16 1.1e-3, bf16 1.02e-2 (LAB.md).
    half = dtype in (torch.float16, torch.bfloat16)
    backends = ["reference"] if name == "attention" and half else ["reference", "torch"]
    if "native" in BACKENDS[PUBLIC[public]] and not missing(dtype):
        backends.append("native")
    for backend in backends:
        found = errors(case, load(PUBLIC[public], backend, "cpu")[public], dtype)
        assert max(found.values()) <= TOLERANCE[dtype], f"{backend} {case}: {found}"
