"""What is noted of the machine that a run was made on."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnuri.base import provenance

AMD = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
flags\t\t: fpu avx2 avx512f avx512_bf16

processor\t: 1
model name\t: of the second core
"""
INTEL = """cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R)  Processor
flags\t\t: fpu avx512f amx_bf16
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (AMD, "AMD EPYC (25, 17; AVX512, avx512_bf16)"),
        (INTEL, "Intel(R) Xeon(R) Processor (6, 143; AVX512, amx_bf16)"),
        (ARM, "a64 (0x41, 0xd40; AVX512)"),
        ("", "a64 (AVX512)"),
    ],
)
def test_processors_that_add_up_in_another_order_have_other_names(
    cpuinfo: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    monkeypatch.setattr(provenance, "CPUINFO", path)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "a64")
    assert provenance.cpu_name("AVX512") == name


def test_a_machine_without_cpuinfo_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr("platform.processor", lambda: "arm")
    assert provenance.cpu_name("DEFAULT") == "arm (DEFAULT)"
