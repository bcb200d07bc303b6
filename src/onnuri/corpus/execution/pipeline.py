"""A batch of documents through the stages, in their order.

A row that a stage rejects keeps the stage's name and a reason, and later stages do not see it. What a
stage measures stays with the row as columns. `sizes` holds the bytes of text that entered each stage, -1
for one that the row never reached, so that the report can say what every stage did to every source.

Duplicates need all documents at once, so there are two passes: `first_pass` goes as far as measuring for
dedup, `second_pass` takes the verdicts on duplicates and does the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus import opt_out
from onnuri.corpus.reading import encoding
from onnuri.corpus.recipe import Recipe, Stage
from onnuri.corpus.source import Source
from onnuri.corpus.stages import normalise
from onnuri.corpus.stages.decontaminate import benchmark_index
from onnuri.corpus.stages.decontaminate import cut as decontaminate
from onnuri.corpus.stages.dedup import near_duplicates
from onnuri.corpus.stages.describe import language_id
from onnuri.corpus.stages.describe import measures as describe
from onnuri.corpus.stages.filter import rules as filter
from onnuri.corpus.stages.filter import spam
from onnuri.corpus.stages.pii import mask as personal_data
from onnuri.corpus.stages.quality import threshold as quality
from onnuri.corpus.stages.quality.model import Model
from onnuri.corpus.stages.quality.model import load as load_quality_model
from onnuri.corpus.text import composition, joined

READ = "read"
SKETCH_BYTES = 8 * near_duplicates.NUM_BANDS
CARRIED = ("source", "lang", "license", "legal_basis", "url", "origin")
MEASURED = pa.schema(
    [
        ("register", pa.string()),
        ("hangul_ratio", pa.float32()),
        ("hanja_ratio", pa.float32()),
        ("final_line_share", pa.float32()),
        ("characters", pa.int32()),
        ("lines", pa.int32()),
        ("repaired", pa.string()),
        ("personal_data", pa.struct([(kind, pa.int32()) for kind in personal_data.KINDS])),
        ("cluster", pa.string()),
        ("cluster_size", pa.int32()),
        ("contamination", pa.list_(pa.int32())),
        ("quality", pa.float32()),
    ]
)
"""Columns that stages add; null where the stage did not run. cluster: the id that names a set of copies."""
FOR_DEDUP = pa.schema(
    [
        ("digest", pa.binary(16)),
        ("sketch", pa.binary(SKETCH_BYTES)),
        ("canonical_size", pa.int64()),
        ("rank", pa.int32()),
    ]
)
"""rank: number of the source in the recipe; of equal copies that of the first source stays."""
STAGED = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        *((name, pa.string()) for name in CARRIED),
        *MEASURED,
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("sizes", pa.list_(pa.int64())),
        *FOR_DEDUP,
    ]
)
"""A document on its way. stage, reason: "" while it is good."""

Sizes = npt.NDArray[np.int64]


def split(stages: Sequence[Stage]) -> tuple[list[Stage], list[Stage]]:
    """The stages of the first pass, to dedup if that is among them, and those of the second."""
    names = [stage.name for stage in stages]
    cut = names.index("dedup") + 1 if "dedup" in names else len(names)
    return list(stages[:cut]), list(stages[cut:])


def first_pass(raw: pa.RecordBatch, source: Source, rank: int, recipe: Recipe) -> pa.Table:
    """Raw rows (raw_text.SCHEMA) of one source through the stages up to dedup.

    Returns a table of STAGED, good rows and rejected ones, in the order they came in.
    """
    rows = _first_look(raw, source, rank)
    names = [stage.name for stage in recipe.stages]
    if "normalise" not in names:
        rows = put(rows, text=_composed(raw["text"]))
    if "describe" not in names:
        rows = _with_language(rows)
    sizes = np.full((raw.num_rows, len(recipe.stages) + 1), -1, dtype=np.int64)
    sizes[:, 0] = pc.binary_length(raw["text"]).to_numpy()
    bad = _rejected(rows, READ)
    return _through(rows.filter(pc.equal(rows["reason"], "")), split(recipe.stages)[0], 1, sizes, [bad])


def second_pass(staged: pa.Table, verdicts: pa.Table | None, recipe: Recipe) -> pa.Table:
    """Rows of `first_pass` with their verdicts (reason, cluster, cluster_size) through the later stages."""
    before, after = split(recipe.stages)
    count = staged.num_rows
    sizes = staged["sizes"].combine_chunks().flatten().to_numpy().reshape(count, -1).copy()
    rows = staged.append_column("row", pa.array(np.arange(count)))
    if verdicts is not None:
        copied = pc.not_equal(verdicts["reason"], "")
        rows = put(
            rows,
            stage=pc.if_else(copied, "dedup", rows["stage"]),
            reason=pc.if_else(copied, verdicts["reason"], rows["reason"]),
            cluster=verdicts["cluster"],
            cluster_size=verdicts["cluster_size"],
        )
    good = pc.equal(rows["reason"], "")
    return _through(rows.filter(good), after, len(before) + 1, sizes, [rows.filter(pc.invert(good))])


def _through(
    rows: pa.Table, stages: Sequence[Stage], place: int, sizes: Sizes, finished: list[pa.Table]
) -> pa.Table:
    for number, stage in enumerate(stages, place):
        if not rows.num_rows:
            break
        sizes[rows["row"].to_numpy(), number] = pc.binary_length(rows["text"]).to_numpy()
        rows = WORK[stage.name](rows, stage.options)
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
    return put(whole, sizes=pa.ListArray.from_arrays(offsets, sizes.reshape(-1))).select(STAGED.names)


def _rejected(rows: pa.Table, stage: str) -> pa.Table:
    """The rows with a reason, marked with the stage that gave it."""
    bad = rows.filter(pc.not_equal(rows["reason"], ""))
    return put(bad, stage=pa.repeat(pa.scalar(stage, pa.string()), bad.num_rows))


def _with_language(rows: pa.Table) -> pa.Table:
    """Rows whose language nothing has told yet get the one that their letters suggest."""
    langs = one_array(rows["lang"])
    unknown = pc.equal(langs, "")
    if not pc.any(unknown).as_py():
        return rows
    texts = one_array(rows["text"]).filter(unknown)
    found = pc.struct_field(describe.describe(texts, langs.filter(unknown)), "lang")
    return put(rows, lang=pc.replace_with_mask(langs, unknown, found))


def _first_look(raw: pa.RecordBatch, source: Source, rank: int) -> pa.Table:
    """Ids, and the rejects of reading: unreadable, empty and opted-out rows.

    An id is a hash of source, own id and text, wherever the row lies: moved, shuffled and re-cut files give
    the same. What cannot be read is told apart by its place.
    """
    count = raw.num_rows
    problem = raw["problem"].cast(pa.string())
    places = pc.if_else(pc.equal(problem, ""), "", raw["origin"])
    ids = pa.array(_hashes((raw["source"], raw["key"], places), raw["text"], hex_digits=True), pa.string())
    reason = pc.if_else(pc.equal(problem, ""), empty(raw["text"]), problem)
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


def _hashes(prefixes: Sequence[pa.Array], texts: pa.Array, hex_digits: bool = False) -> list[Any]:
    """blake2b of 16 bytes over some strings, each after its length and a colon, and a large string."""
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    buffer = texts.buffers()[2]
    data = memoryview(buffer if buffer is not None else b"")
    heads = zip(*(column.to_pylist() for column in prefixes), strict=True) if prefixes else None
    places = offsets.tolist()
    answers = []
    for row in range(len(texts)):
        digest = hashlib.blake2b(digest_size=16)
        if heads is not None:
            for value in next(heads):
                digest.update(f"{len(value)}:{value}".encode())
        digest.update(data[places[row] : places[row + 1]])
        answers.append(digest.hexdigest() if hex_digits else digest.digest())
    return answers


def _composed(texts: pa.Array) -> pa.Array:
    """Texts in NFC, which no corpus goes without."""
    text = joined.join(texts)
    composed = composition.compose(text, joined.code_points(text))
    return texts if composed == text else pa.array(composed.split(joined.BORDER), pa.large_string())


def empty(texts: pa.Array) -> pa.Array:
    """The reason "empty" for texts without a visible character."""
    return pc.if_else(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0), "empty", "")


def put(rows: pa.Table, **columns: Any) -> pa.Table:
    """The rows with some columns replaced."""
    for name, values in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
    return rows


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A table's column as one array."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _normalise(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    texts, repaired = encoding.repair(one_array(rows["text"]))
    repaired = _joined(one_array(rows["repaired"]), repaired.cast(pa.string()))
    texts = normalise.normalise(texts, **options)
    lost = pc.match_substring(repaired, encoding.LOST)
    reason = pc.if_else(lost, f"mojibake: {encoding.LOST}", empty(texts))
    return put(rows, text=texts, repaired=pc.if_else(lost, "", repaired), reason=reason)


def _joined(notes: pa.Array, others: pa.Array) -> pa.Array:
    """Two notes on each row as one."""
    if notes.null_count == len(notes):
        return others
    notes = pc.fill_null(notes, "")
    both = pc.and_(pc.not_equal(notes, ""), pc.not_equal(others, ""))
    return pc.binary_join_element_wise(notes, others, pc.if_else(both, ", ", ""))


def _describe(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    given, texts = one_array(rows["lang"]), one_array(rows["text"])
    found = describe.describe(texts, given, **options)
    columns = {field.name: pc.struct_field(found, field.name) for field in found.type}
    # "en" so far means Latin letters; a model tells whether they are English.
    unsure = pc.and_(pc.equal(given, ""), pc.equal(columns["lang"], "en"))
    if pc.any(unsure).as_py():
        named, _ = language_id.identify(texts.filter(unsure))
        named = pc.if_else(pc.equal(named, "und"), "en", named)
        columns["lang"] = pc.replace_with_mask(columns["lang"], unsure, named)
    return put(rows, **columns)


def _filter(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    texts, spam_reasons = spam.clean(one_array(rows["text"]))
    rules = {lang: replace(rules, **_tuples(options.get(lang, {}))) for lang, rules in filter.RULES.items()}
    reasons = filter.reasons(texts, one_array(rows["lang"]), rules)
    return put(rows, text=texts, reason=pc.if_else(pc.equal(spam_reasons, ""), reasons, spam_reasons))


def _tuples(value: Any) -> Any:
    """Lists of a recipe as the tuples that the rules are made of."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _pii(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    texts, counts = personal_data.mask(one_array(rows["text"]), **options)
    found = {counts.type.field(i).name: counts.field(i) for i in range(counts.type.num_fields)}
    fields = MEASURED.field("personal_data").type
    columns = [found.get(each.name, pa.nulls(len(texts), pa.int32())) for each in fields]
    return put(rows, text=texts, personal_data=pa.StructArray.from_arrays(columns, fields=list(fields)))


def _dedup(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    """Only measures; the verdict needs all rows."""
    texts = one_array(rows["text"])
    bands, lengths = near_duplicates.sketches(texts)
    buffers = [None, pa.py_buffer(np.ascontiguousarray(bands).tobytes())]
    return put(
        rows,
        digest=pa.array(_hashes((), texts), pa.binary(16)),
        sketch=pa.FixedSizeBinaryArray.from_buffers(pa.binary(SKETCH_BYTES), len(texts), buffers),
        canonical_size=pa.array(lengths, pa.int64()),
    )


def _decontaminate(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    index = benchmarks(options["index"])
    action = options.get("action", "cut")
    texts, reasons, hits = decontaminate.decontaminate(one_array(rows["text"]), index, action)
    return put(rows, text=texts, reason=reasons, contamination=hits)


@lru_cache(maxsize=1)
def benchmarks(path: str) -> benchmark_index.Index:
    """The index of benchmarks that a run has made, once a process."""
    return benchmark_index.load(Path(path))


def _quality(rows: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    model = _quality_model(options["model"])
    scores, reasons = quality.quality(one_array(rows["text"]), model, options.get("threshold", 0))
    return put(rows, quality=scores, reason=reasons)


@lru_cache(maxsize=1)
def _quality_model(folder: str) -> Model:
    return load_quality_model(folder)


WORK: dict[str, Callable[[pa.Table, Mapping[str, Any]], pa.Table]] = {
    "normalise": _normalise,
    "describe": _describe,
    "filter": _filter,
    "pii": _pii,
    "dedup": _dedup,
    "decontaminate": _decontaminate,
    "quality": _quality,
}
"""What each stage does to a batch of good rows."""
