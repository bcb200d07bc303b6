"""Unmodified clients: openai, langchain-openai, lm-evaluation-harness. Run by `make test-clients`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.evaluate import benchmark_rows
from tests.serve.serving import Server, wait_until

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.extra("clients")
ASKED: list[Any] = [{"role": "user", "content": "안녕"}]


class City(Enum):
    SEOUL = "서울"
    BUSAN = "부산"


class Person(BaseModel):
    name: Literal["김", "이"] = Field(alias="이름")
    city: City = Field(alias="도시")


PARAMETERS = {
    "type": "object",
    "properties": {"도시": {"type": "string", "enum": ["서울", "부산"]}},
    "required": ["도시"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "weather", "strict": True, "parameters": PARAMETERS}}


@pytest.fixture(scope="module")
def client(plain: Server) -> Any:
    return openai.OpenAI(base_url=f"{plain.url}/v1", api_key="none", max_retries=0)


def test_openai_chat(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["chat", "base"]
    options: Any = {"model": "chat", "messages": ASKED, "max_completion_tokens": 8, "seed": 1}
    whole = client.chat.completions.create(**options, logprobs=True, top_logprobs=2)
    assert len(whole.choices[0].logprobs.content[0].top_logprobs) == 2
    chunks = [
        *client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
    ]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 8

    async def other() -> str:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key="none") as theirs:
            found = await theirs.chat.completions.create(**options)
            return str(found.choices[0].message.content)

    assert asyncio.run(other()) == text


def test_openai_parses_what_it_asked_for(client: Any) -> None:
    options: Any = {"model": "chat", "messages": ASKED, "max_tokens": 100}
    parsed = client.chat.completions.parse(**options, response_format=Person).choices[0].message.parsed
    assert isinstance(parsed, Person)
    forced: Any = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    with client.chat.completions.stream(**options, **forced) as stream:
        assert list(stream)
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls[0].function.parsed_arguments["도시"] in ("서울", "부산")
    result: Any = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "맑음"}
    history = [*ASKED, message, result]
    assert client.chat.completions.create(
        model="chat", messages=history, tools=[TOOL], max_tokens=3
    ).choices


def test_openai_completions_and_responses(client: Any) -> None:
    echoed = client.completions.create(model="base", prompt="대한", max_tokens=4, echo=True, logprobs=1)
    assert echoed.choices[0].text.startswith("대한") and len(echoed.choices[0].logprobs.token_logprobs) >= 5
    options: Any = {"model": "chat", "input": "안녕", "temperature": 0, "max_output_tokens": 8}
    whole = client.responses.create(**options)
    assert whole.status == "incomplete" and whole.output_text
    events = [*client.responses.create(**options, stream=True)]
    assert events[-1].type == "response.incomplete" and events[-1].response.output_text == whole.output_text
    parsed = client.responses.parse(**{**options, "max_output_tokens": 100}, text_format=Person)
    assert isinstance(parsed.output_parsed, Person)
    tool: Any = {"type": "function", "name": "weather", "strict": True, "parameters": PARAMETERS}
    forced = {"tools": [tool], "tool_choice": {"type": "function", "name": "weather"}}
    (call,) = client.responses.create(**{**options, "max_output_tokens": 100}, **forced).output
    assert json.loads(call.arguments)["도시"] in ("서울", "부산")


def test_openai_raises_what_it_should(client: Any) -> None:
    create = client.chat.completions.create
    for wrong in ({"user": "me"}, {"store": True}, {"reasoning_effort": "high"}, {"extra_body": {"x": 1}}):
        with pytest.raises(openai.BadRequestError):
            create(model="chat", messages=ASKED, **wrong)
    with pytest.raises(openai.NotFoundError):
        create(model="gpt-4", messages=ASKED)
    with pytest.raises(openai.BadRequestError, match="is a base model"):
        create(model="base", messages=ASKED)


def test_openai_of_npm(plain: Server) -> None:
    node = shutil.which("node")
    packages = [Path(folder) / "node_modules" for folder in os.environ.get("PYTHONPATH", "").split(":")]
    installed = next((str(folder) for folder in packages if (folder / "openai").is_dir()), None)
    if node is None or installed is None:
        pytest.skip("node and openai of npm are not installed: make test-clients installs openai")
    command = [node, str(Path(__file__).with_name("openai_node.mjs")), plain.url]
    environment = {**os.environ, "NODE_PATH": installed}
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0 and ran.stdout == "ok\n", ran.stdout + ran.stderr
    left = 'onnuri_requests_total{route="/v1/chat/completions",status="499",key=""} 1'
    with plain.client() as reader:
        wait_until(lambda: left in reader.get("/metrics").text, "the server sees the abort")


def test_langchain(plain: Server) -> None:
    langchain = pytest.importorskip("langchain_openai")
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool

    @tool
    def weather(city: Literal["서울", "부산"]) -> str:
        """날씨"""
        return "맑음"

    where = {"base_url": f"{plain.url}/v1", "api_key": "none", "max_retries": 0}
    chat = langchain.ChatOpenAI(model="chat", max_tokens=8, temperature=0, **where)
    assert chat.invoke("안녕").content == "".join(piece.content for piece in chat.stream("안녕"))
    long = langchain.ChatOpenAI(model="chat", max_tokens=150, **where)
    for method in ("json_schema", "function_calling"):
        assert isinstance(
            long.with_structured_output(Person, method=method, strict=True).invoke("?"), Person
        )
    bound = long.bind_tools([weather], tool_choice="required", strict=True, parallel_tool_calls=False)
    message = bound.invoke("서울 날씨")
    assert message.tool_calls[0]["args"]["city"] in ("서울", "부산")
    result = ToolMessage("맑음", tool_call_id=message.tool_calls[0]["id"])
    assert chat.invoke([HumanMessage("서울 날씨"), message, result]).content
    assert langchain.OpenAI(model="base", max_tokens=5, temperature=0, **where).invoke("대한")
    responses = langchain.ChatOpenAI(model="chat", max_tokens=8, use_responses_api=True, **where)
    assert responses.invoke("안녕").content


BOOLQ = "include: {tasks}/kobest/kobest_boolq.yaml\n"
# lm-evaluation-harness has no KLUE: its XNLI, on columns of KLUE-NLI. What is asked is empty.
NLI = """
output_type: multiple_choice
doc_to_text: ""
doc_to_target: "{{{{ {{'entailment': 0, 'neutral': 1, 'contradiction': 2}}[gold_label] }}}}"
doc_to_choice:
  - "{{{{premise}}}}, 맞죠? 예, {{{{hypothesis}}}}"
  - "{{{{premise}}}}, 맞죠? 또한, {{{{hypothesis}}}}"
  - "{{{{premise}}}}, 맞죠? 아니요, {{{{hypothesis}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


@pytest.mark.parametrize(
    ("name", "task", "choices"), [("kobest_boolq", BOOLQ, 2), ("klue_nli", NLI, 3)], ids=["boolq", "nli"]
)
def test_lm_eval_scores_as_it_does_by_itself(
    plain: Server,
    folders: Path,
    tmp_path: Path,
    name: str,
    task: str,
    choices: int,
) -> None:
    """local-completions against lm-eval's own hf model, on rows of our own in the published columns."""
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    rows = benchmark_rows.write(name, tmp_path / "data", 24)
    with (tmp_path / "rows.jsonl").open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "ours.yaml").write_text(
        f"{task.format(tasks=Path(lm_eval.__file__).parent / 'tasks')}task: ours\n"
        "dataset_path: json\ndataset_name: null\n"
        f"dataset_kwargs:\n  data_files:\n    test: {tmp_path}/rows.jsonl\n"
        "test_split: test\ntraining_split: null\nvalidation_split: null\nfewshot_split: test\n"
    )
    folder = folders / "base"
    own = HFLM(
        pretrained=AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval(),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        batch_size=4,
    )
    served = (
        f"base_url={plain.url}/v1/completions,model=base,tokenizer={folder},tokenizer_backend=huggingface,"
        "num_concurrent=2,max_retries=1,max_length=1024"
    )
    found = []
    for model, arguments in ((own, None), ("local-completions", served)):
        manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
        found.append(
            lm_eval.simple_evaluate(
                model=model,
                model_args=arguments,
                tasks=["ours"],
                task_manager=manager,
                bootstrap_iters=0,
                log_samples=True,
                batch_size=4,
            )
        )
    ours, theirs = (
        [float(answer[0][0]) for sample in result["samples"]["ours"] for answer in sample["resps"]]
        for result in found
    )
    assert len(ours) == 24 * choices and ours == pytest.approx(theirs, abs=1e-3)
    assert found[0]["results"]["ours"]["acc,none"] == found[1]["results"]["ours"]["acc,none"]
