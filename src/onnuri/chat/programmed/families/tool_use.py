"""One call of a tool, which the checker runs. Train and test differ by a number asked about modulo 7."""

from __future__ import annotations

import json
from datetime import timedelta
from random import Random
from typing import Any

from onnuri.chat.programmed import dates
from onnuri.chat.programmed.families.date_sums import any_day
from onnuri.chat.programmed.families.json_object import read_object
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, number_in, part_of, wrong
from onnuri.chat.programmed.hangul import with_josa
from onnuri.chat.programmed.tools import ToolError, add_days, calculate, lookup
from onnuri.chat.programmed.words import TOWNS

NAME = "tool_use"
TOOLS = """쓸 수 있는 도구:
- calculator: 사칙연산을 합니다. arguments: {"expression": "(12+3)*4"}
- add_days: 날짜에서 며칠 뒤(음수면 전)의 날짜를 구합니다. arguments: {"date": "2020-01-05", "days": 10}
- lookup: 표에서 한 칸을 찾습니다. arguments: {"row": "행 이름", "column": "열 이름"}"""
ASK = (
    "물음에 직접 답하지 말고, 답을 구할 도구를 한 번 부르세요. "
    '{"name": 도구 이름, "arguments": {...}} 꼴의 JSON 하나만 쓰고 다른 말은 쓰지 마세요.'
)
COLUMNS = ("인구", "학교 수", "도서관 수", "버스 노선 수")


def _sum(generator: Random, difficulty: int, split: str) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    first = number_in(generator, 100, 9_999, split)
    second, third = generator.randint(11, 999), generator.randint(2, 99)
    if difficulty == 1:
        question, expression = (
            f"{with_josa(str(first), '과')} {second}의 곱은 얼마입니까?",
            f"{first}*{second}",
        )
        operands = [first, second]
    elif difficulty == 2:
        question = (
            f"한 개에 {first}원인 물건을 {third}개 사고 배송비 {second}원을 냈습니다. 모두 얼마를 냈습니까?"
        )
        expression, operands = f"{first}*{third}+{second}", [first, second, third]
    else:
        question = f"{with_josa(str(first), '과')} {second}의 합의 {third}배는 얼마입니까?"
        expression, operands = f"({first}+{second})*{third}", [first, second, third]
    value = int(calculate(expression)[0])
    wanted = {"tool": "calculator", "value": value, "operands": sorted(operands)}
    return str(first), question, {"name": "calculator", "arguments": {"expression": expression}}, wanted


def _day(generator: Random, difficulty: int, split: str) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    day, days = any_day(generator), number_in(generator, 10, 900, split)
    if difficulty == 3:
        question, step = f"{dates.written(day)}을 1일째로 셀 때 {days}일째 되는 날은 언제입니까?", days - 1
    elif difficulty == 2:
        question, step = f"{dates.written(day)}에서 {days}일 전은 언제입니까?", -days
    else:
        question, step = f"{dates.written(day)}에서 {days}일 뒤는 언제입니까?", days
    call = {"name": "add_days", "arguments": {"date": day.isoformat(), "days": step}}
    wanted = {"tool": "add_days", "value": (day + timedelta(step)).isoformat(), "day": day.isoformat()}
    return str(days), question, call, wanted


def _cell(
    generator: Random, difficulty: int, split: str
) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    towns = generator.sample(part_of(TOWNS, split), min(difficulty + 2, 5))
    columns = COLUMNS[: difficulty + 1]
    cells = {town: {column: generator.randint(2, 999) for column in columns} for town in towns}
    town, column = generator.choice(towns), generator.choice(columns)
    cells[town][column] = number_in(generator, 2, 999, split)
    rows = [f"| {' | '.join(('지역', *columns))} |", f"|{' --- |' * (len(columns) + 1)}"]
    rows += [f"| {name} | {' | '.join(map(str, cells[name].values()))} |" for name in towns]
    question = "\n".join((f"다음 표에서 {town}의 {with_josa(column, '은')} 얼마입니까?", "", *rows))
    call = {"name": "lookup", "arguments": {"row": town, "column": column}}
    wanted = {"tool": "lookup", "value": cells[town][column], "cell": [town, column], "table": cells}
    return str(cells[town][column]), question, call, wanted


def make(generator: Random, difficulty: int, split: str) -> Task:
    """A sum, a day or a cell; each harder with the difficulty."""
    key, question, call, wanted = generator.choice((_sum, _day, _cell))(generator, difficulty, split)
    prompt = f"{ASK}\n\n{TOOLS}\n\n물음: {question}"
    return Task(
        NAME,
        difficulty,
        split,
        prompt,
        json.dumps(call, ensure_ascii=False),
        wanted,
        f"{wanted['tool']} {key}",
    )


def check(task: Task, answer: str) -> Result:
    """One call whose result is the answer: of the question's numbers, from its day, of its cell.

    A result that the text brings along counts for nothing: the call is run here.
    """
    call, wanted = read_object(answer), task.parameters
    if call is None or call.keys() != {"name", "arguments"} or not isinstance(call["arguments"], dict):
        return wrong("not one call alone")
    if call["name"] != wanted["tool"]:
        return wrong("another tool")
    arguments = call["arguments"]
    try:
        return RIGHT if _runs(arguments, wanted) else wrong("another call or result")
    except ToolError as error:
        return wrong(f"the call fails: {error}")


def _runs(arguments: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if wanted["tool"] == "calculator" and arguments.keys() == {"expression"}:
        value, operands = calculate(arguments["expression"])
        return value == wanted["value"] and sorted(operands) == wanted["operands"]
    if wanted["tool"] == "add_days" and arguments.keys() == {"date", "days"}:
        found = add_days(arguments["date"], arguments["days"])
        return found == wanted["value"] and arguments["date"] == wanted["day"]
    if wanted["tool"] == "lookup" and arguments.keys() == {"row", "column"}:
        found = lookup(wanted["table"], arguments["row"], arguments["column"])
        return found == wanted["value"] and [arguments["row"], arguments["column"]] == wanted["cell"]
    return False


def mistake(generator: Random, task: Task) -> str:
    """The answer without a call, the call with words around it, or with one argument too few."""
    kind = generator.randrange(3)
    if kind == 0:
        return f"답은 {task.parameters['value']}입니다."
    if kind == 1:
        return f"도구를 부르겠습니다. {task.answer}"
    call = json.loads(task.answer)
    call["arguments"].popitem()
    return json.dumps(call, ensure_ascii=False)


FAMILY = Family(
    NAME,
    "one call of a calculator, a date tool or a table, which is run",
    "towns; remainder modulo 7 of a number of the question",
    make,
    check,
    mistake,
)
