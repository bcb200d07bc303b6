"""Why an entry is refused, by name."""

from __future__ import annotations

import errno
from typing import NamedTuple

from onnuri.base.errors import UserError, system_error

FAULTS = {
    "not received": ("not received before the reveal", "공개 전에 접수되지 않음"),
    "changed entry": ("other than the entry received", "접수한 항목과 다름"),
    "bad signature": ("the signature is not good", "서명이 맞지 않음"),
    "bad files": ("files that cannot be taken in", "받을 수 없는 파일"),
    "broken ledger": ("the ledger is not whole", "원장이 온전하지 않음"),
    "other ledger": ("not the committed ledger", "제출한 원장과 다름"),
    "other weights": ("not the committed weights", "제출한 가중치와 다름"),
    "record": ("files that contradict the ledger", "원장과 어긋나는 파일"),
    "other data": ("trained on other data", "다른 데이터로 학습함"),
    "held-out text in training": ("held-out text in training", "학습 데이터에 평가용 글이 있음"),
    "over the FLOPs budget": ("over the FLOPs budget", "FLOPs 예산 초과"),
    "over the token budget": ("over the token budget", "토큰 예산 초과"),
    "larger model": ("a larger model than allowed", "허용보다 큰 모델"),
    "settings": ("settings that cannot be verified", "검증할 수 없는 설정"),
    "missing checkpoints": ("missing checkpoints", "체크포인트 부족"),
    "no replay": ("the steps cannot be run again", "다시 실행할 수 없는 스텝"),
    "edited loss": ("losses that do not replay", "재현되지 않는 손실"),
    "no score": ("no finite score", "유한하지 않은 점수"),
    "edited weights": ("weights that do not follow from the steps", "스텝에서 나오지 않는 가중치"),
}
"""Name of a fault to its words in English and Korean."""


class Fault(NamedTuple):
    """What is wrong with an entry."""

    name: str
    """One of FAULTS."""
    detail: str
    """One line with the figures."""

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}"


class Refused(Exception):
    """A fault after which the rest of an entry cannot be looked at."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.fault = Fault(name, detail)


OURS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO),
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE),
}
"""Errors of the system that no file of an entrant can bring about."""


class MachineTrouble(UserError):
    """The machine that verifies fails: no fault of the entry, so nothing is recorded."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"{reason} (this machine, not the entry: nothing is recorded)")


def check_machine(error: BaseException) -> None:
    """Raise MachineTrouble if an error, or one that it came of, is of this machine."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MachineTrouble):
            raise cause
        if isinstance(cause, MemoryError):
            raise MachineTrouble("out of memory") from None
        if isinstance(cause, OSError) and cause.errno in OURS:
            raise MachineTrouble(system_error(cause, "the folder for temporary files")) from None
        cause = cause.__cause__ or cause.__context__
