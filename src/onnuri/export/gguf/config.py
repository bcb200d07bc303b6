"""Options of `onnuri export gguf`."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError, check_choice
from onnuri.config.paths import path_option


@dataclass
class GgufConfig:
    """Which model to convert, and where to."""

    model: str = path_option()
    """Hugging Face folder of the type qwen3 or llama, such as `onnuri export` writes."""
    output: str = path_option()
    """File to write, NAME.gguf; a GGUF file of that name is replaced."""
    dtype: str = "float32"
    """Of the matrices: float32, float16 or bfloat16. Norms stay float32, as llama.cpp wants them."""

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, ("float32", "float16", "bfloat16"))
        if not self.output.endswith(".gguf"):
            raise UserError(f"output={self.output} must end with .gguf")
