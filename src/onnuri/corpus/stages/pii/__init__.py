"""pii: personal data is masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.base.errors import check_choice
from onnuri.corpus.stages.pii import mask
from onnuri.corpus.stages.stage import Bars, Stage, one_array, with_columns

COUNTS = pa.struct([(kind, pa.int32()) for kind in mask.KINDS])
KIND_NAMES = {
    "rrn": "resident number · 주민등록번호",
    "frn": "foreigner number · 외국인등록번호",
    "phone": "phone · 전화번호",
    "card": "card · 카드번호",
    "account": "bank account · 계좌번호",
    "passport": "passport · 여권번호",
    "driver_licence": "driver licence · 운전면허",
    "email": "e-mail · 전자우편",
    "ip": "IP address · IP 주소",
    "business_number": "business number · 사업자번호",
    "address": "postal address · 주소",
    "vehicle_plate": "vehicle plate · 차량번호",
    "health_insurance": "health insurance · 건강보험증번호",
}


@dataclass
class PiiOptions:
    """What is masked, and how."""

    kinds: list[str] | None = None
    """Any of rrn, frn, phone, card, account, passport, driver_licence, email, ip, vehicle_plate,
    health_insurance, business_number, address. Not given: all but the last two, which are mostly public."""
    style: str = "placeholder"
    """placeholder: <|phone|> and so on; surrogate: a fake that nobody can hold."""

    def __post_init__(self) -> None:
        for kind in self.kinds or ():
            check_choice("kinds", kind, mask.KINDS)
        check_choice("style", self.style, mask.STYLES)


def run(rows: pa.Table, options: PiiOptions) -> pa.Table:
    """The stage."""
    kinds = mask.DEFAULT_KINDS if options.kinds is None else options.kinds
    texts, counts = mask.mask(one_array(rows["text"]), kinds, options.style)
    found = {counts.type.field(i).name: counts.field(i) for i in range(counts.type.num_fields)}
    columns = [found.get(each.name, pa.nulls(len(texts), pa.int32())) for each in COUNTS]
    return with_columns(
        rows, text=texts, personal_data=pa.StructArray.from_arrays(columns, fields=list(COUNTS))
    )


def summary(rows: pa.Table, options: Any) -> Mapping[str, Any]:
    """Values found by kind, in rejected documents too."""
    found = rows["personal_data"].combine_chunks()
    return {
        "personal_data": {kind: pc.sum(pc.struct_field(found, kind)).as_py() or 0 for kind in COUNTS.names}
    }


STAGE = Stage(
    name="pii",
    run=run,
    title="personal data · 개인정보",
    options=PiiOptions,
    columns=pa.schema([("personal_data", COUNTS)]),
    by_default=True,
    summary=summary,
    charts=(
        Bars(
            "personal_data",
            "Personal data found · 찾은 개인정보",
            KIND_NAMES.get,
            note="values masked · 가린 값",
        ),
    ),
)
