"""Answers written by a vLLM server (`grpo.vllm`) in place of the ranks, for clusters with GPUs to spare.

The server runs an export of the model that tuning starts from. Before the answers of a step rank 0 writes
the weights under Hugging Face names to RUN_DIR/vllm, which the server sees under the same path, and all
workers of the server read them (`/collective_rpc`, open with VLLM_SERVER_DEV_MODE=1 alone). Then each rank
asks for its answers by token ids. Their log-probabilities are the server's, so that the clipped ratio of
the loss corrects for its rounding.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from onnuri.base.errors import UserError
from onnuri.generate.events import Completion, Ended
from onnuri.generate.sampling import Request
from onnuri.hf.full_disk import os_errors
from onnuri.hf.weights import hf_weights
from onnuri.model.spec import TOKEN_KINDS, spec_of
from onnuri.train.rank_zero import on_rank_zero

if TYPE_CHECKING:
    from onnuri.train.run_state import Run

FOLDER = "vllm"
FILE_BYTES = 5e9
"""Weights of a file, about; the host of rank 0 holds those of one."""
SECONDS = 1800
"""That one request may take, loading of weights included."""
NEUTRAL = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""A model's generation_config.json would set others."""


class VllmGenerator:
    """Completions by a vLLM server with the weights of a training engine."""

    def __init__(self, run: Run) -> None:
        """Find the server's model. Raises UserError if there is none, or its context is too short."""
        import httpx

        self.run, config = run, run.plan.config
        self.url = config.grpo.vllm.rstrip("/")
        self.slots = config.grpo.slots
        limits = httpx.Limits(max_connections=self.slots)
        self.client = httpx.Client(base_url=self.url, timeout=SECONDS, limits=limits, trust_env=False)
        listed = self._ask("GET", "/v1/models").get("data") or [{}]
        self.model, self.context = listed[0].get("id"), listed[0].get("max_model_len")
        if not self.model or not self.context:
            raise UserError(f"grpo.vllm={self.url} lists no model with its max_model_len")
        if self.context < config.data.sequence_length:
            raise UserError(
                f"grpo.vllm={self.url} reads {self.context} tokens (--max-model-len), fewer than "
                f"data.sequence_length={config.data.sequence_length}"
            )

    def send_weights(self) -> None:
        """Give the server the weights of now. A collective call. Raises UserError on all ranks."""
        folder = self.run.run_dir / FOLDER
        problem: UserError | OSError | None = None
        tensors: dict[str, torch.Tensor] = {}
        number = 1
        lead = self.run.plan.ranks.is_lead
        if lead:
            shutil.rmtree(folder, ignore_errors=True)
        for name, tensor in self._weights():  # all ranks go through all weights, whatever fails on rank 0
            try:
                if sum(each.nbytes for each in tensors.values()) > FILE_BYTES:
                    number = _write(folder, number, tensors)
                tensors[name] = tensor
            except (UserError, OSError) as error:
                problem = problem or error
        with on_rank_zero(self.run.plan):
            if problem:
                raise problem
            if lead:
                _write(folder, number, tensors)
                # Served from the same storage: every worker reads the folder.
                arguments = {"weights_path": str(folder.resolve())}
                self._ask("POST", "/collective_rpc", {"method": "reload_weights", "kwargs": arguments})
                self._ask("POST", "/reset_prefix_cache")

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """An answer to each. Raises UserError.

        Seeds are left out: what vLLM draws depends on its batch all the same, and its CPU build (0.32) dies
        of them.
        """
        with ThreadPoolExecutor(self.slots) as pool:
            return list(pool.map(self._complete, requests))

    def _complete(self, request: Request) -> Completion:
        body = {
            "model": self.model,
            "prompt": list(request.ids),
            "max_tokens": min(request.max_tokens, self.context - len(request.ids)),
            "temperature": request.temperature,
            "stop_token_ids": sorted(request.stops),
            "ignore_eos": True,
            "skip_special_tokens": False,
            "return_token_ids": True,
            "logprobs": 0,
            **NEUTRAL,
        }
        answer = self._ask("POST", "/v1/completions", body)
        try:
            (choice,) = answer["choices"]
            ids, logprobs = choice["token_ids"], choice["logprobs"]["token_logprobs"]
            if len(ids) != len(logprobs):
                raise ValueError(f"{len(ids)} tokens and {len(logprobs)} log-probabilities")
            values = [float(each) for each in logprobs]
            ended: Ended = "stop" if choice["finish_reason"] == "stop" else "length"
            return Completion([int(each) for each in ids], values, values, ended)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"grpo.vllm={self.url} does not answer with token ids and log-probabilities as vLLM does "
                f"from 0.11 on ({type(error).__name__}: {error})"
            ) from None

    def _weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Hugging Face weights on the host of rank 0, nothing elsewhere. All ranks go through it."""
        import deepspeed

        plan, module = self.run.plan, self.run.engine.module
        table = spec_of(plan.config.model).by_name(plan.config.model)
        known = int(plan.data.counts["vocab_size"])
        sharded = plan.config.engine.stage == 3
        for name, parameter in module.named_parameters():
            whole = deepspeed.zero.GatheredParameters([parameter]) if sharded else nullcontext()
            with whole:
                if plan.ranks.is_lead:
                    rows = known if table[name].kind in TOKEN_KINDS else parameter.shape[0]
                    for hf_name, part in hf_weights(plan.config.model, name, parameter.detach()[:rows]):
                        yield hf_name, part.to("cpu", copy=True).contiguous()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer of the server; {} if it has no body. Raises UserError for any status but 200."""
        import httpx

        try:
            answer = self.client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise UserError(f"grpo.vllm={self.url}: {str(error) or type(error).__name__}") from None
        if answer.status_code == 404 and path != "/v1/completions":
            raise UserError(
                f"grpo.vllm={self.url} has no {path}; start the server with VLLM_SERVER_DEV_MODE=1"
            )
        if answer.status_code != 200:
            said = " ".join(answer.text.split())[:300]
            raise UserError(f"grpo.vllm={self.url}{path} answers {answer.status_code}: {said}")
        if not answer.content:
            return {}
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UserError(f"grpo.vllm={self.url}{path} does not answer with a JSON object")
        return found


def _write(folder: Path, number: int, tensors: dict[str, torch.Tensor]) -> int:
    """Write a file of weights, and forget them. Returns the number of the next file."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    path = folder / f"model-{number:05d}.safetensors"
    with os_errors(path):
        save_file(tensors, path, metadata={"format": "pt"})
    tensors.clear()
    return number + 1
