"""Load on an OpenAI-compatible server: streams of many clients, and how long their tokens take.

    python benchmarks/serving.py --url http://127.0.0.1:8000 --clients 32 --requests 256

Each client sends its next request when its last answer has ended. Prompts are random Korean words, so a
prefix cache holds nothing of them. `between deltas` is the time from one text of a stream to the next: a
token, or several where a syllable takes them; `a token` is the mean of an answer after its first text.
OPENAI_API_KEY in the environment is the key.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

SYLLABLES = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호기니디리미비시이지치키티피히"
"""What random words are made of."""


@dataclass
class Answer:
    """What a stream gave. Times in seconds since its request."""

    error: str = ""
    deltas: list[float] = field(default_factory=list)
    end: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0


async def ask(client: httpx.AsyncClient, route: str, body: dict[str, Any]) -> Answer:
    """Send a request and read its stream to the end."""
    answer, began = Answer(), time.perf_counter()
    finished = False
    try:
        async with client.stream("POST", route, json=body) as response:
            if response.status_code != 200:
                answer.error = f"status {response.status_code}"
            async for line in response.aiter_lines():
                data = line.removeprefix("data: ")
                if answer.error or data == line:
                    continue
                if data == "[DONE]":
                    finished = True
                    continue
                event = json.loads(data)
                if "error" in event:
                    answer.error = "error in a stream"
                if any(
                    choice.get("text") or choice.get("delta", {}).get("content")
                    for choice in event.get("choices", [])
                ):
                    answer.deltas.append(time.perf_counter() - began)
                if usage := event.get("usage"):
                    answer.prompt_tokens = usage["prompt_tokens"]
                    answer.completion_tokens = usage["completion_tokens"]
        answer.error = answer.error or ("" if finished else "stream without an end")
    except (httpx.HTTPError, ValueError) as error:
        answer.error = type(error).__name__
    answer.end = time.perf_counter() - began
    answer.completion_tokens = answer.completion_tokens or len(answer.deltas)  # a server without usage
    return answer


async def load(given: argparse.Namespace) -> tuple[list[Answer], float]:
    """All answers, and the seconds from the first request to the last answer."""
    key = os.environ.get("OPENAI_API_KEY", "none")
    route = "/v1/chat/completions" if given.route == "chat" else "/v1/completions"
    answers: list[Answer] = []
    async with httpx.AsyncClient(
        base_url=given.url.rstrip("/").removesuffix("/v1"),
        headers={"authorization": f"Bearer {key}"},
        timeout=given.timeout,
        limits=httpx.Limits(max_connections=None),
        trust_env=False,
    ) as client:
        model = given.model or await first_model(client)
        waiting = bodies(given, model)

        async def one_client() -> None:
            for body in waiting:
                answers.append(await ask(client, route, body))

        began = time.perf_counter()
        await asyncio.gather(*(one_client() for _ in range(given.clients)))
        return answers, time.perf_counter() - began


async def first_model(client: httpx.AsyncClient) -> str:
    """Name of the first model that the server lists. Ends the program if it lists none."""
    try:
        response = await client.get("/v1/models")
    except httpx.HTTPError as error:
        raise SystemExit(f"error: {client.base_url} cannot be reached: {error}") from None
    if response.status_code != 200 or not response.json().get("data"):
        raise SystemExit(
            f"error: {client.base_url} lists no models (status {response.status_code}); see --help"
        )
    return str(response.json()["data"][0]["id"])


def bodies(given: argparse.Namespace, model: str) -> Iterator[dict[str, Any]]:
    """A request for each of `given.requests`."""
    chosen = random.Random(given.seed)
    for seed in range(given.requests):
        words = ["".join(chosen.choices(SYLLABLES, k=3)) for _ in range(given.words)]
        text = " ".join(words)
        asked = (
            {"messages": [{"role": "user", "content": text}]} if given.route == "chat" else {"prompt": text}
        )
        yield {
            "model": model,
            **asked,
            "max_tokens": given.tokens,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest rank; not a number if there are no values."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)] if values else float("nan")


def report(answers: list[Answer], seconds: float) -> str:
    """The table."""
    good = [answer for answer in answers if not answer.error]
    errors = Counter(answer.error for answer in answers if answer.error)
    times = {
        "time to first token": [answer.deltas[0] for answer in good if answer.deltas],
        "between deltas": [
            after - before
            for answer in good
            for before, after in zip(answer.deltas, answer.deltas[1:], strict=False)
        ],
        "a token": [
            (answer.deltas[-1] - answer.deltas[0]) / (answer.completion_tokens - 1)
            for answer in good
            if len(answer.deltas) > 1
        ],
        "whole answer": [answer.end for answer in good],
    }
    prompt, written = (
        sum(getattr(answer, name) for answer in good) for name in ("prompt_tokens", "completion_tokens")
    )
    lines = [
        f"{len(answers)} requests in {seconds:.1f} s, {len(answers) - len(good)} failed",
        *(f"  {number} x {error}" for error, number in errors.most_common()),
        f"prompt tokens {prompt:,} ({prompt / seconds:,.0f}/s)",
        f"tokens written {written:,} ({written / seconds:,.0f}/s)",
        f"{'milliseconds':<20}{'p50':>10}{'p95':>10}{'most':>10}",
    ]
    for name, values in times.items():
        shown = "".join(f"{1000 * percentile(values, percent):>10,.1f}" for percent in (50, 95, 100))
        lines.append(f"{name:<20}{shown}")
    return "\n".join(lines)


def main() -> None:
    """Load the server, print a table; exit status 1 if a request failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="", help="default: the first that the server lists")
    parser.add_argument("--route", choices=("chat", "completions"), default="chat")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=256, help="of all clients together")
    parser.add_argument("--words", type=int, default=20, help="of a prompt")
    parser.add_argument("--tokens", type=int, default=64, help="most of an answer")
    parser.add_argument("--seed", type=int, default=0, help="of the prompts")
    parser.add_argument("--timeout", type=float, default=120, help="seconds without a byte")
    answers, seconds = asyncio.run(load(parser.parse_args()))
    print(report(answers, seconds))
    raise SystemExit(any(answer.error for answer in answers))


if __name__ == "__main__":
    main()
