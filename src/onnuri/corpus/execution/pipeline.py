"""A batch of documents through the stages, in their order.

A row that a stage rejects keeps the stage's name and a reason, and later stages do not see it. What a
stage measures stays with the row as columns. `sizes` holds the bytes of text that entered each stage, -1
for one that the row never reached, so that the report can say what every stage did to every source.

A stage that needs all documents at once makes two passes of it: `first_pass` goes as far as its measuring,
`second_pass` takes its verdicts and does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus import opt_out
from onnuri.corpus.recipe import ChosenStage, Recipe
from onnuri.corpus.source import Source
from onnuri.corpus.stages.describe.measures import describe
from onnuri.corpus.stages.stage import AllDocuments, empty_reason, one_array, with_columns
from onnuri.corpus.stages.table import STAGES
from onnuri.corpus.text import composition, joined
from onnuri.corpus.text.hashes import text_hashes

READ = "read"
"""What the report calls everything before the first stage."""
CARRIED = ("source", "lang", "license", "legal_basis", "url", "origin")
DOCUMENT = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        *((name, pa.string()) for name in CARRIED),
        ("repaired", pa.string()),
        *(field for stage in STAGES.values() for field in stage.columns),
        ("sizes", pa.list_(pa.int64())),
    ]
)
"""A document when it is done. repaired: what was done to its encoding."""
STAGED = pa.schema(
    [
        *DOCUMENT,
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("rank", pa.int32()),
        *(
            field
            for stage in STAGES.values()
            if stage.needs_all_documents
            for field in stage.needs_all_documents.measured
        ),
    ]
)
"""A document on its way. stage, reason: "" while it is good. rank: number of the source in the recipe."""

Sizes = npt.NDArray[np.int64]


def comparison(recipe: Recipe) -> tuple[ChosenStage, AllDocuments] | None:
    """The stage of a recipe that needs all documents, if there is one."""
    for chosen in recipe.stages:
        if how := STAGES[chosen.name].needs_all_documents:
            return chosen, how
    return None


def split(recipe: Recipe) -> tuple[Sequence[ChosenStage], Sequence[ChosenStage]]:
    """The stages of the first pass, to the one that needs all documents, and those of the second."""
    found = comparison(recipe)
    cut = recipe.stages.index(found[0]) + 1 if found else len(recipe.stages)
    return recipe.stages[:cut], recipe.stages[cut:]


def first_pass(raw: pa.RecordBatch, source: Source, rank: int, recipe: Recipe) -> pa.Table:
    """Raw rows (raw_text.SCHEMA) of one source through the stages of the first pass.

    Returns a table of STAGED, good rows and rejected ones, in the order they came in.
    """
    rows = _assign_ids(raw, source, rank)
    names = [stage.name for stage in recipe.stages]
    if "normalise" not in names:
        rows = with_columns(rows, text=_composed(raw["text"]))
    if "describe" not in names:
        rows = _with_language(rows)
    sizes = np.full((raw.num_rows, len(recipe.stages) + 1), -1, dtype=np.int64)
    sizes[:, 0] = pc.binary_length(raw["text"]).to_numpy()
    bad = _rejected(rows, READ)
    return _run_stages(rows.filter(pc.equal(rows["reason"], "")), split(recipe)[0], 1, sizes, [bad])


def second_pass(staged: pa.Table, verdicts: pa.Table, recipe: Recipe) -> pa.Table:
    """Rows of `first_pass` with their verdicts (reason, cluster, cluster_size) through the later stages."""
    before, after = split(recipe)
    count = staged.num_rows
    sizes = staged["sizes"].combine_chunks().flatten().to_numpy().reshape(count, -1).copy()
    rows = staged.append_column("row", pa.array(np.arange(count)))
    rejected = pc.not_equal(verdicts["reason"], "")
    rows = with_columns(
        rows,
        **{name: verdicts[name] for name in verdicts.column_names if name != "reason"},
        stage=pc.if_else(rejected, before[-1].name, rows["stage"]),
        reason=pc.if_else(rejected, verdicts["reason"], rows["reason"]),
    )
    good = pc.equal(rows["reason"], "")
    return _run_stages(rows.filter(good), after, len(before) + 1, sizes, [rows.filter(pc.invert(good))])


def _run_stages(
    rows: pa.Table, stages: Sequence[ChosenStage], first: int, sizes: Sizes, finished: list[pa.Table]
) -> pa.Table:
    for number, stage in enumerate(stages, first):
        if not rows.num_rows:
            break
        sizes[rows["row"].to_numpy(), number] = pc.binary_length(rows["text"]).to_numpy()
        rows = STAGES[stage.name].run(rows, stage.options)
        good = pc.equal(rows["reason"], "")
        if not pc.all(good).as_py():
            finished.append(_rejected(rows, stage.name))
            rows = rows.filter(good)
    whole = pa.concat_tables([*finished, rows])
    if whole.num_rows != len(sizes):
        raise RuntimeError(f"{len(sizes)} documents went in, {whole.num_rows} came out")
    if any(table.num_rows for table in finished):
        whole = whole.sort_by("row")
    whole = _with_language(whole)
    offsets = pa.array(np.arange(len(sizes) + 1) * sizes.shape[1], pa.int32())
    return with_columns(whole, sizes=pa.ListArray.from_arrays(offsets, sizes.reshape(-1))).select(
        STAGED.names
    )


def _rejected(rows: pa.Table, stage: str) -> pa.Table:
    """The rows with a reason, marked with the stage that gave it."""
    bad = rows.filter(pc.not_equal(rows["reason"], ""))
    return with_columns(bad, stage=pa.repeat(pa.scalar(stage, pa.string()), bad.num_rows))


def _with_language(rows: pa.Table) -> pa.Table:
    """Rows without a language get the one that their letters suggest."""
    langs = one_array(rows["lang"])
    unknown = pc.equal(langs, "")
    if not pc.any(unknown).as_py():
        return rows
    texts = one_array(rows["text"]).filter(unknown)
    found = pc.struct_field(describe(texts, langs.filter(unknown)), "lang")
    return with_columns(rows, lang=pc.replace_with_mask(langs, unknown, found))


def _assign_ids(raw: pa.RecordBatch, source: Source, rank: int) -> pa.Table:
    """Ids, and the rejects of reading: unreadable, empty and opted-out rows.

    An id is a hash of source, own id and text, wherever the row lies: moved, shuffled and re-cut files give
    the same. What cannot be read is identified by its origin.
    """
    count = raw.num_rows
    problem = raw["problem"].cast(pa.string())
    origins = pc.if_else(pc.equal(problem, ""), "", raw["origin"])
    ids = pa.array(
        text_hashes((raw["source"], raw["key"], origins), raw["text"], hex_digits=True), pa.string()
    )
    reason = pc.if_else(pc.equal(problem, ""), empty_reason(raw["text"]), problem)
    if source.opt_out:
        listed = opt_out.entries(source.opt_out)
        opted = pa.array(opt_out.reasons(listed, ids, raw["key"], raw["url"]), pa.string())
        reason = pc.if_else(pc.equal(reason, ""), opted, reason)
    known = {
        "row": pa.array(np.arange(count)),
        "id": ids,
        "text": raw["text"],
        **{name: raw[name].cast(pa.string()) for name in CARRIED},
        "stage": pa.repeat(pa.scalar("", pa.string()), count),
        "reason": reason,
        "repaired": pc.if_else(
            pc.equal(raw["note"], ""), pa.scalar(None, pa.string()), raw["note"].cast(pa.string())
        ),
        "rank": pa.repeat(pa.scalar(rank, pa.int32()), count),
    }
    others = {field.name: pa.nulls(count, field.type) for field in STAGED if field.name not in known}
    return pa.table(known | others)


def _composed(texts: pa.Array) -> pa.Array:
    """Texts in NFC, also where no stage normalises."""
    text = joined.join(texts)
    composed = composition.compose(text, joined.code_points(text))
    return texts if composed == text else pa.array(composed.split(joined.SEPARATOR), pa.large_string())
