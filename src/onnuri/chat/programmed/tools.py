"""Three tools that a task offers and its checker runs: a calculator, days, and a table."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

LONGEST = 200
"""Characters of an expression."""
_EXPRESSION = re.compile(r"[0-9+*/() -]+")
MOST = 10**15
"""Results beyond it are errors: no answer here is larger."""
_OPERATORS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class ToolError(ValueError):
    """A call that cannot be run."""


def calculate(expression: str) -> tuple[Fraction, list[int]]:
    """Value and operands of whole numbers, + - * / and parentheses. Nothing else is evaluated."""
    if not isinstance(expression, str) or len(expression) > LONGEST:
        raise ToolError("no short expression")
    if not _EXPRESSION.fullmatch(expression):
        raise ToolError("not a sum of whole numbers")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        operands: list[int] = []
        return _evaluate(tree.body, operands), operands
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError) as error:
        raise ToolError(str(error)) from None


def _evaluate(node: ast.expr, operands: list[int]) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        operands.append(node.value)
        return Fraction(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        found = _OPERATORS[type(node.op)](_evaluate(node.left, operands), _evaluate(node.right, operands))
        if abs(found) > MOST:
            raise ToolError("too large")
        return found
    raise ToolError("not a sum of whole numbers")


def add_days(day: str, days: int) -> str:
    """A day as YYYY-MM-DD and a number of days to the day after so many."""
    if not isinstance(day, str) or type(days) is not int or abs(days) > 100_000:
        raise ToolError("date is YYYY-MM-DD and days a whole number")
    try:
        return (date.fromisoformat(day) + timedelta(days)).isoformat()
    except (ValueError, OverflowError) as error:
        raise ToolError(str(error)) from None


def lookup(table: dict[str, dict[str, Any]], row: str, column: str) -> Any:
    """A cell of a table."""
    try:
        return table[row][column]
    except (KeyError, TypeError):
        raise ToolError("no such row or column") from None
