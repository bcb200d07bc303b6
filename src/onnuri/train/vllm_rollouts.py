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

from onnuri.base.errors import UserError, optional_package
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
PATIENCE = 0.9
"""Of the time that other ranks wait for rank 0 in a collective call: what a request may take."""
CONNECT_SECONDS = 30
DEV_MODE = "start the server with VLLM_SERVER_DEV_MODE=1"
LEAST_LOGPROB = -1000.0
"""vLLM writes -9999 for a token that could not be drawn."""
MOST_LOGPROB = 0.01
"""Rounding, above 0."""
NEUTRAL = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""A model's generation_config.json would set others."""


class VllmGenerator:
    """Completions by a vLLM server with the weights of a training engine."""

    def __init__(self, run: Run) -> None:
        """Find the server's model. Raises UserError if there is none, or its context is too short."""
        with optional_package("serve", "grpo.vllm"):
            import httpx

        self.run, config = run, run.plan.config
        self.url = config.grpo.vllm.rstrip("/")
        self.slots = config.grpo.slots
        limits = httpx.Limits(max_connections=self.slots)
        timeout = httpx.Timeout(PATIENCE * 60 * config.engine.timeout_minutes, connect=CONNECT_SECONDS)
        self.client = httpx.Client(base_url=self.url, timeout=timeout, limits=limits, trust_env=False)
        answer = self._ask("GET", "/v1/models")
        try:
            listed = answer["data"][0]
            self.model, longest = str(listed["id"]), int(listed["max_model_len"])
        except (LookupError, TypeError, ValueError):
            raise UserError(f"grpo.vllm={self.url} lists no model with its max_model_len") from None
        if longest < config.data.sequence_length:
            raise UserError(
                f"grpo.vllm={self.url} reads {longest} tokens (--max-model-len), fewer than "
                f"data.sequence_length={config.data.sequence_length}"
            )
        self.context = min(longest, config.data.sequence_length + 1)
        self.known = int(run.plan.data.counts["vocab_size"])

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
                arguments = {"weights_path": str(folder.absolute())}
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
        most = min(request.max_tokens, self.context - len(request.ids))
        body = {
            "model": self.model,
            "prompt": list(request.ids),
            "max_tokens": most,
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
            ids = [int(each) for each in choice["token_ids"]]
            logprobs = [float(each) for each in choice["logprobs"]["token_logprobs"]]
            ended: Ended = "stop" if choice["finish_reason"] == "stop" else "length"
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"grpo.vllm={self.url} does not answer with token ids and log-probabilities as vLLM 0.32 "
                f"does ({type(error).__name__}: {error})"
            ) from None
        if fault := self._fault(ids, logprobs, ended, most, request.stops):
            raise UserError(f"grpo.vllm={self.url} answers with {fault}")
        return Completion(ids, logprobs, logprobs, ended)

    def _fault(
        self, ids: list[int], logprobs: list[float], ended: Ended, most: int, stops: frozenset[int]
    ) -> str:
        """What cannot be learned from in an answer; "" if nothing."""
        if not 1 <= len(ids) <= most:
            return f"{len(ids)} tokens where 1 to {most} were asked for"
        if len(logprobs) != len(ids):
            return f"{len(logprobs)} log-probabilities of {len(ids)} tokens"
        if not all(0 <= each < self.known for each in ids):
            return "an id outside of the vocabulary"
        if not all(LEAST_LOGPROB < each < MOST_LOGPROB for each in logprobs):
            return "a log-probability that no drawn token has"
        if ended == "stop" and ids[-1] not in stops:
            return "an end without a stop token"
        return ""

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
        if answer.status_code == 404:
            way_out = "give the address without /v1" if path.startswith("/v1/") else DEV_MODE
            raise UserError(f"grpo.vllm={self.url} has no {path}; {way_out}")
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
