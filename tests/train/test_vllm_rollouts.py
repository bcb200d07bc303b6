"""grpo.vllm: a server that speaks as vLLM 0.32 does writes the answers, with the weights of each step.

Behind it is transformers, so what is sent must be a whole Hugging Face model.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT, compose
from onnuri.generate.sampling import Request
from onnuri.train.config import PretrainConfig
from onnuri.train.vllm_rollouts import VllmGenerator
from tests.conftest import SCRIPTS, run_command, torchrun
from tests.train import test_grpo
from tests.train.test_grpo import lines, steps, tuning

made = test_grpo.made
CONTEXT = 256
"""Of the server: more than data.sequence_length."""
SEQUENCE = 128


class Handler(BaseHTTPRequestHandler):
    """The routes that GRPO uses."""

    model: ClassVar[Any]
    asked: ClassVar[list[str]]
    reads_weights: ClassVar[bool]
    forgets: ClassVar[bool]
    """It says that it has read the weights, and keeps its own."""
    spoiled: ClassVar[dict[str, Any]]
    listed: ClassVar[Any]
    lock: ClassVar[Any] = threading.Lock()

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self.send_error(404)
        return self.reply(self.listed)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"null")
        self.asked.append(self.path)
        if self.path == "/collective_rpc" and not self.reads_weights:
            return self.send_error(404)
        with self.lock:
            if self.path == "/collective_rpc" and self.forgets:
                self.reply({"results": [None]})
            elif self.path == "/collective_rpc":
                assert body["method"] == "reload_weights"
                files = sorted(Path(body["kwargs"]["weights_path"]).glob("*.safetensors"))
                found = {name: tensor for file in files for name, tensor in load_file(file).items()}
                missing, unknown = self.model.load_state_dict(found, strict=False)
                assert set(missing) <= {"lm_head.weight"}
                assert not unknown
                self.reply({"results": [None]})
            elif self.path == "/reset_prefix_cache":
                self.reply(None)
            else:
                self.reply(self.completion(body))
        return None

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        assert len(body["prompt"]) + body["max_tokens"] <= SEQUENCE + 1
        ids, written, logprobs, reason = list(body["prompt"]), [], [], "length"
        while len(written) < body["max_tokens"] and reason == "length":
            with torch.no_grad():
                logits = self.model(torch.tensor([ids])).logits[0, -1].float()
            if body["temperature"]:
                token = int(torch.multinomial((logits / body["temperature"]).softmax(0), 1))
            else:
                token = int(logits.argmax())
            ids.append(token)
            written.append(token)
            logprobs.append(float(logits.log_softmax(0)[token]))
            reason = "stop" if token in body["stop_token_ids"] else "length"
        answer = {"token_ids": written, "logprobs": {"token_logprobs": logprobs}, "finish_reason": reason}
        return {"choices": [answer | self.spoiled]}

    def reply(self, body: Any) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(made: Path, tmp_path: Path) -> Iterator[str]:
    run_command("export", f"checkpoint={made / 'tuned'}", f"output={tmp_path / 'model'}", "dtype=float32")
    Handler.model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    Handler.asked, Handler.reads_weights, Handler.forgets, Handler.spoiled = [], True, False, {}
    Handler.listed = {"data": [{"id": "policy", "max_model_len": CONTEXT}]}
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_it_writes_the_answers_with_the_weights_of_each_step(
    made: Path, server: str, tmp_path: Path
) -> None:
    words = [f"grpo.vllm={server}", "train.steps=4", "engine.stage=3", "optim.lr=1e-2"]
    torchrun(2, SCRIPTS / "tune.py", *tuning(made, tmp_path / "run", *words))
    shown = [line for line in lines(tmp_path / "run") if "loss" in line]
    assert len(shown) == 4
    assert any(line["grad_norm"] > 0 for line in shown), "nothing was learnt from"
    assert all(line["off_policy"] < 1e-4 for line in shown), "written by the weights of another step"
    # Four steps, and held-out tasks after the third and the last.
    assert Handler.asked.count("/collective_rpc") == Handler.asked.count("/reset_prefix_cache") == 6
    held_out = min(6, manifest.read(made / "prompts", "tokens").counts["heldout"]["documents"])
    assert held_out > 0
    answers = 4 * 16 + 2 * held_out
    assert Handler.asked.count("/v1/completions") == answers
    verify = [f"run={tmp_path / 'run'}", f"data={made / 'prompts'}", "replay=2"]
    run_command("ledger", "verify", *verify)  # the server is not asked again
    assert Handler.asked.count("/v1/completions") == answers
    assert len(steps(tmp_path / "run")) == 4


def test_a_server_that_keeps_its_weights_is_noticed_once(made: Path, server: str, tmp_path: Path) -> None:
    """Its answers would teach what these weights did not write."""
    Handler.forgets = True
    words = [f"grpo.vllm={server}", "train.steps=8", "engine.stage=0", "optim.lr=1e-1"]
    done = torchrun(1, SCRIPTS / "tune.py", *tuning(made, tmp_path / "run", *words))
    shown = [line["off_policy"] for line in lines(tmp_path / "run") if "loss" in line]
    assert shown[0] < 0.1 < max(shown)
    assert (done.stdout + done.stderr).count(f"does {server} take the weights?") == 1


def test_faults_of_the_server_are_one_line(made: Path, server: str, tmp_path: Path) -> None:
    def refused(address: str, *words: str) -> str:
        arguments = [*tuning(made, tmp_path / "refused", "engine.stage=0", f"grpo.vllm={address}"), *words]
        done = run_command("tune", *arguments, check=False)
        assert done.returncode != 0
        return done.stdout + done.stderr

    assert "must be http://HOST:PORT" in refused("localhost:8000")
    assert "must be http://HOST:PORT" in refused("http://[::1")
    assert "no name or password" in refused("http://me:secret@localhost:8000")
    assert "give the address without /v1" in refused(f"{server}/v1")
    assert "does not go with grpo.vllm" in refused(server, "lora.rank=4")
    Handler.reads_weights = False
    assert "start the server with VLLM_SERVER_DEV_MODE=1" in refused(server)
    gone = "http://127.0.0.1:9"
    assert f"error: grpo.vllm={gone}: " in refused(gone)
    assert "Traceback" not in refused(gone)


LISTS: list[Any] = [{"data": "policy"}, {"data": []}, {}, [], {"data": [{"id": "policy"}]}]


def generator(server: str) -> VllmGenerator:
    words = ["data=x", "run_dir=x", f"data.sequence_length={SEQUENCE}", f"grpo.vllm={server}"]
    plan = SimpleNamespace(
        config=compose(PretrainConfig, words, CONFIG_ROOT, "tune"),
        data=SimpleNamespace(counts={"vocab_size": 300}),
    )
    return VllmGenerator(SimpleNamespace(plan=plan))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spoiled", "problem"),
    [
        ({"token_ids": [], "logprobs": {"token_logprobs": []}}, "0 tokens where 1 to 4 were asked for"),
        ({"token_ids": [5] * 9}, "9 tokens where 1 to 4 were asked for"),
        (
            {"token_ids": [5], "logprobs": {"token_logprobs": [-1.0, -1.0]}},
            "2 log-probabilities of 1 tokens",
        ),
        ({"token_ids": [300]}, "an id outside of the vocabulary"),
        ({"token_ids": [-5]}, "an id outside of the vocabulary"),
        ({"logprobs": {"token_logprobs": [-9999.0]}}, "a log-probability that no drawn token has"),
        ({"logprobs": {"token_logprobs": [float("nan")]}}, "a log-probability that no drawn token has"),
        ({"finish_reason": "stop"}, "an end without a stop token"),
        ({"logprobs": {"token_logprobs": [None]}}, "token ids and log-probabilities as vLLM 0.32"),
        ({"token_ids": None}, "token ids and log-probabilities as vLLM 0.32"),
    ],
)
def test_an_answer_that_nothing_can_be_learned_from_is_refused(
    server: str, spoiled: dict[str, Any], problem: str
) -> None:
    whole = {"token_ids": [5], "logprobs": {"token_logprobs": [-1.0]}, "finish_reason": "length"}
    Handler.spoiled = whole
    asked = [Request([1, 2], 4, stops=frozenset({0}))]
    assert generator(server).generate(asked)[0].ids == [5]
    Handler.spoiled = whole | spoiled
    with pytest.raises(UserError, match=problem):
        generator(server).generate(asked)


@pytest.mark.parametrize("listed", LISTS, ids=str)
def test_a_list_of_no_model_is_refused(server: str, listed: Any) -> None:
    Handler.listed = listed
    with pytest.raises(UserError, match=r"lists no model|does not answer with a JSON object"):
        generator(server)
