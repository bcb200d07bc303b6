"""A short text that keeps to a form that can be counted. Train and test have different subjects.

Every task fixes the number of sentences (or of list items) and their register, so that a second answer
behind the first breaks the form. Sentences have two words and five syllables at least, differ from one
another and from those of the prompt, and may not be padded by repeating words.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, part_of, wrong
from onnuri.chat.programmed.hangul import is_syllable, with_josa
from onnuri.chat.programmed.predicates import PREDICATES, Register
from onnuri.chat.programmed.sentences import SUBJECTS

NAME = "forms"
CLOSING = "이상입니다."
REGISTERS: dict[Register, str] = {
    "formal": "합쇼체('-습니다')",
    "polite": "해요체('-아요/어요')",
    "plain": "해라체('-다')",
}
EXTRAS = ("no_comma", "no_latin", "most_characters", "times", "begins", "closing")
LEAST_NEW_WORDS = 0.6
"""Share of words of a text that are different."""


def _lines(form: dict[str, Any], subject: str) -> list[str]:
    """The conditions, as the prompt has them."""
    count = form["count"]
    lines = [
        f"한 줄에 하나씩 '- '로 시작하는 항목을 정확히 {count}개 쓰고, 항목마다 한 문장으로 씁니다."
        if form["list"]
        else f"정확히 {count}문장으로 씁니다.",
        f"모든 문장을 {REGISTERS[form['register']]}로 끝냅니다.",
    ]
    if "no_comma" in form:
        lines.append("쉼표를 쓰지 않습니다.")
    if "no_latin" in form:
        lines.append("로마자를 쓰지 않습니다.")
    if "most_characters" in form:
        lines.append(f"공백을 빼고 {form['most_characters']}자를 넘지 않습니다.")
    if "times" in form:
        josa = with_josa(subject, "이라는").removeprefix(subject)
        lines.append(
            f"'{subject}'{josa} 말을 정확히 {form['times']}번 씁니다. "
            "조사가 붙거나 다른 말과 합쳐진 것도 셉니다."
        )
    if "begins" in form:
        lines.append(f"첫 문장을 '{subject}'{with_josa(subject, '으로')[len(subject) :]} 시작합니다.")
    if "closing" in form:
        lines.append(f"마지막 문장은 '{CLOSING}'로 하고, 이것도 문장 수에 넣습니다.")
    return lines


def make(generator: Random, difficulty: int, split: str) -> Task:
    """One condition more than number and register, two, or three to four."""
    subject = generator.choice(part_of(SUBJECTS, split))
    register = generator.choice(list(REGISTERS))
    listed = generator.random() < 0.25
    form: dict[str, Any] = {"count": generator.randint(2, 6), "list": listed, "register": register}
    extras = [
        each
        for each in EXTRAS
        if each != "closing" or (register == "formal" and not listed and form["count"] > 2)
    ]
    chosen = generator.sample(extras, difficulty + (difficulty == 3 and generator.random() < 0.5))
    statements = form["count"] - ("closing" in chosen)
    times = generator.randint(1, statements)
    naming, others = (
        generator.sample(subject.naming, times),
        generator.sample(subject.others, statements - times),
    )
    if "begins" in chosen:
        first = generator.choice([each for each in subject.naming if each[0].startswith(subject.name)])
        naming = [first, *[each for each in naming if each != first]][:times]
    rest = naming[1:] + others
    generator.shuffle(rest)
    sentences = [f"{body} {PREDICATES[name].present(register)}." for body, name in [naming[0], *rest]]
    if "closing" in chosen:
        sentences.append(CLOSING)
    answer = "\n".join(f"- {each}" for each in sentences) if listed else " ".join(sentences)
    values = {"times": times, "most_characters": (len("".join(answer.split())) + 25) // 10 * 10}
    form |= {each: values.get(each, True) for each in EXTRAS if each in chosen}
    lines = "\n".join(f"{number}. {line}" for number, line in enumerate(_lines(form, subject.name), 1))
    prompt = (
        f"'{subject.name}'{with_josa(subject.name, '을')[len(subject.name) :]} 소재로 글을 쓰세요. "
        f"다음 조건을 모두 지키고, 글 말고 다른 말은 쓰지 마세요.\n{lines}"
    )
    return Task(
        NAME, difficulty, split, prompt, answer, {"subject": subject.name, "form": form}, subject.name
    )


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")
"""A line ends a sentence too, so a heading is one: IFEval's strict reading forgives no line that was not
asked for."""


def check(task: Task, answer: str) -> Result:
    """Each condition by a count of its own; the subject has to be named."""
    form, subject = task.parameters["form"], task.parameters["subject"]
    text = answer.strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if form["list"]:
        if not all(line.startswith("- ") for line in lines):
            return wrong("a line that is no list item")
        sentences = [line.removeprefix("- ").strip() for line in lines]
        if any(len(_SENTENCE_END.split(each)) > 1 for each in sentences):
            return wrong("an item of more than one sentence")
    else:
        sentences = _SENTENCE_END.split(text)
    if len(sentences) != form["count"]:
        return wrong(f"{len(sentences)} sentences for {form['count']}")
    if "closing" in form and sentences.pop() != CLOSING:
        return wrong("another last sentence")
    if fault := _poor(sentences, task.prompt):
        return wrong(fault)
    if not all(_ends(each, form["register"]) for each in sentences):
        return wrong("a sentence in another register")
    return _extras(text, sentences[0], form, subject)


def _poor(sentences: list[str], prompt: str) -> str:
    """Why these are no sentences, or ""."""
    for each in sentences:
        if each[-1] not in ".!?" or len(each.split()) < 2 or sum(map(is_syllable, each)) < 5:
            return "a line that is no sentence"
        if each in prompt:
            return "a sentence of the prompt"
    words = " ".join(sentences).split()
    if len(set(sentences)) < len(sentences) or len(set(words)) < LEAST_NEW_WORDS * len(words):
        return "the same again"
    return ""


def _ends(sentence: str, register: Register) -> bool:
    bare = sentence.rstrip(".!?")
    if register == "polite":
        return bare.endswith("요")
    return (
        bare.endswith("니다") if register == "formal" else bare.endswith("다") and not bare.endswith("니다")
    )


def _extras(text: str, first: str, form: dict[str, Any], subject: str) -> Result:
    """The conditions beside number and register."""
    times = text.count(subject)
    if times == 0 or times != form.get("times", times):
        return wrong(f"'{subject}' {times} times")
    if "no_comma" in form and re.search("[,、，]", text):
        return wrong("a comma")
    if "no_latin" in form and re.search("[A-Za-z]", text):
        return wrong("a Latin letter")
    if len("".join(text.split())) > form.get("most_characters", len(text)):
        return wrong("too long")
    if "begins" in form and not first.startswith(subject):
        return wrong("another beginning")
    return RIGHT


def mistake(generator: Random, task: Task) -> str:
    """A sentence too many, one too few, or the other register in one of them."""
    form = task.parameters["form"]
    between = "\n" if form["list"] else " "
    parts = task.answer.split("\n") if form["list"] else _SENTENCE_END.split(task.answer)
    kind = generator.randrange(3)
    if kind == 0:
        return between.join(parts[1:])
    if kind == 1:
        return between.join([*parts[:1], *parts])
    ending = "요" if form["register"] != "polite" else "다"
    return between.join([f"{parts[0].rstrip('.')}{ending}.", *parts[1:]])


FAMILY = Family(
    NAME,
    "a text of N sentences or items, without commas, of one register, with a word N times",
    "subjects",
    make,
    check,
    mistake,
)
