"""The families by name."""

from __future__ import annotations

from onnuri.chat.programmed.families import (
    ages,
    code,
    counters,
    date_sums,
    forms,
    hanja,
    initials,
    jamo,
    josa,
    json_object,
    lunar,
    number_reading,
    number_writing,
    personal_data,
    reading,
    register,
    sorting,
    tool_use,
    weekdays,
    word_sums,
)
from onnuri.chat.programmed.family import Family

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY
    for module in (
        word_sums,
        number_reading,
        number_writing,
        counters,
        josa,
        jamo,
        initials,
        sorting,
        date_sums,
        weekdays,
        ages,
        lunar,
        hanja,
        register,
        forms,
        json_object,
        tool_use,
        reading,
        personal_data,
        code,
    )
}
