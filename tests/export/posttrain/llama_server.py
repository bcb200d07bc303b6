"""llama.cpp's own server, in this process, through the package xllamacpp."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import xllamacpp


class LlamaServer:
    """Serves a GGUF file in float32: flash attention and the usual cache would round to float16."""

    def __init__(self, path: Path) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel = 128, 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.warmup, params.verbosity, params.use_jinja = False, -1, True
        self.server = xllamacpp.Server(params)

    def post(self, path: str, **request: Any) -> dict[str, Any]:
        """The answer to a request."""
        asked = urllib.request.Request(
            self.server.listening_address + path,
            json.dumps(request).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def ids(self, text: str) -> list[int]:
        """A text in tokens; what reads like a control token stays text."""
        answer = self.post("/tokenize", content=text, add_special=False, parse_special=False)
        found: list[int] = answer["tokens"]
        return found

    def greedy(self, prompt: list[int], count: int) -> list[int]:
        """The likeliest tokens, up to the first at which llama.cpp stops by itself."""
        answer = self.post(
            "/completion",
            prompt=prompt,
            n_predict=count,
            temperature=0,
            return_tokens=True,
            cache_prompt=False,
        )
        found: list[int] = answer["tokens"]
        return found
