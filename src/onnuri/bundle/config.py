"""Options of `onnuri bundle`."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field

from onnuri.base.errors import UserError, check_choice
from onnuri.config.paths import path_option


@dataclass
class BundleConfig:
    """What the folder is for."""

    output: str = path_option()
    """Folder to write: wheels, source tree, install.sh, SBOM, hashes. About 1 GB, with CUDA 3 GB."""
    python: str = f"{sys.version_info[0]}.{sys.version_info[1]}"
    """Version of Python where it will be installed, such as 3.11; default: the running one."""
    platform: str = ""
    """Oldest system to install on, such as manylinux_2_28_x86_64 (glibc 2.28); empty: one like this."""
    torch: str = "cpu"
    """cpu, or cuda: the build of the package index, with NVIDIA's libraries."""
    extras: list[str] = field(default_factory=list)
    """Extras of Onnuri beyond dev, which brings gguf, hf, morpheme, ray, sign, trackers and unigram."""
    key: str = path_option("")
    """Private key to sign with (PEM, on P-256, P-384 or P-521, without a password); empty: unsigned."""

    def __post_init__(self) -> None:
        check_choice("torch", self.torch, ("cpu", "cuda"))
        if not re.fullmatch(r"3\.\d{1,2}", self.python):
            raise UserError(f"python={self.python} must be a version such as 3.11")
