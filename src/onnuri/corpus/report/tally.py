"""Counting documents on their way out: by split, source, language, stage and reason."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.recipe import Recipe

KEYS = ("source", "lang", "license", "legal_basis")
HANJA_SHARE = 0.01
COUNTERS = ("groups", "reasons", "entered", "measured", "items", "origins")
"""From this share of its characters on a document counts as one with Hanja."""


class Tally:
    """Sums that can be written down and added up: one tally a shard, one for the corpus."""

    def __init__(self) -> None:
        self.groups: Counter[tuple[str, ...]] = Counter()
        """(split, *KEYS, unit): unit is documents or bytes."""
        self.reasons: Counter[tuple[str, ...]] = Counter()
        """(stage, source, reason up to its colon): rejected documents."""
        self.entered: Counter[tuple[str, ...]] = Counter()
        """(source, number of the stage, unit): what entered a stage."""
        self.measured: Counter[tuple[str, ...]] = Counter()
        """(what, value): kept documents by register, by size (the power of two of bytes below it), by
        copies and by quality; personal data found by kind; texts repaired; documents by contamination."""
        self.items: Counter[tuple[str, ...]] = Counter()
        """(number of a benchmark's item,): documents that hold it."""
        self.origins: Counter[tuple[str, ...]] = Counter()
        """(source, number of the source in the recipe): kept documents. Records may name another."""
        self.staged = 0
        """Documents that the first pass left behind, by its files."""

    def add(self, split: str, rows: pa.Table) -> None:
        """Count rows of one split: train, heldout or rejected."""
        if not rows.num_rows:
            return
        self._add_entered(rows)
        found = rows["personal_data"].combine_chunks()
        for field in found.type:
            total = pc.sum(pc.struct_field(found, field.name)).as_py()
            self.measured["personal_data", field.name] += total or 0
        self._count_repaired(rows["repaired"])
        for item in pc.list_flatten(rows["contamination"]).value_counts().to_pylist():
            self.items[(str(item["values"]),)] += item["counts"]
        if split == "rejected":
            heads = pc.list_element(pc.split_pattern(rows["reason"], ":", max_splits=1), 0)
            table = pa.table({"stage": rows["stage"], "source": rows["source"], "head": heads})
            for entry in table.group_by(table.schema.names).aggregate([([], "count_all")]).to_pylist():
                self.reasons[entry["stage"], entry["source"], entry["head"]] += entry["count_all"]
            return
        sized = rows.select(list(KEYS)).append_column("bytes", pc.binary_length(rows["text"]))
        grouped = sized.group_by(list(KEYS)).aggregate([("bytes", "sum"), ("bytes", "count")])
        for entry in grouped.to_pylist():
            key = (split, *(entry[name] for name in KEYS))
            self.groups[(*key, "bytes")] += entry["bytes_sum"]
            self.groups[(*key, "documents")] += entry["bytes_count"]
        self._count("size", pc.floor(pc.log2(pc.max_element_wise(sized["bytes"], 1))).cast(pa.int32()))
        for entry in rows.group_by(["source", "rank"]).aggregate([([], "count_all")]).to_pylist():
            self.origins[entry["source"], str(entry["rank"])] += entry["count_all"]
        self._count("register", rows["register"])
        self._count("copies", pc.floor(pc.log2(rows["cluster_size"])).cast(pa.int32()))
        self._count(
            "quality",
            pc.floor(pc.multiply(pc.min_element_wise(rows["quality"], 0.999, skip_nulls=False), 10)).cast(
                pa.int32()
            ),
        )
        hanja = pc.greater_equal(rows["hanja_ratio"], HANJA_SHARE)
        self.measured["hanja", "documents"] += pc.sum(hanja).as_py() or 0

    def add_benchmarks(self, found: Mapping[str, Mapping[str, int]]) -> None:
        """Count the documents of a batch that hold items of each benchmark (`decontaminate.summary`)."""
        for name, entry in found.items():
            self.measured["benchmark", name] += entry["documents"]

    def _contamination(self, plan: Recipe) -> dict[str, dict[str, int]]:
        """By benchmark: items, those that can be found, those found, and the documents that hold one."""
        options = {stage.name: stage.options for stage in plan.stages}.get("decontaminate")
        if not options:
            return {}
        from onnuri.corpus.execution import pipeline
        from onnuri.corpus.stages.decontaminate import cut as decontaminate

        items = pa.array([[int(item) for (item,) in self.items]], pa.list_(pa.int32()))
        found = decontaminate.summary(pipeline.benchmarks(options["index"]), items)
        return {
            name: {
                "items": entry["items"],
                "testable": entry["testable_items"],
                "found": entry["items_found"],
                "documents": self.measured["benchmark", name],
            }
            for name, entry in found.items()
        }

    def _count(self, what: str, values: pa.ChunkedArray) -> None:
        for entry in values.value_counts().to_pylist():
            value = entry["values"]
            if value not in (None, ""):
                name = f"{value:02d}" if isinstance(value, int) else str(value)
                self.measured[what, name] += entry["counts"]

    def _count_repaired(self, notes: pa.ChunkedArray) -> None:
        """Documents by what was done to them; of "bad characters: 3" the characters are counted too."""
        for entry in notes.value_counts().to_pylist():
            note, documents = entry["values"] or "", entry["counts"]
            if note:
                self.measured["repaired", re.sub(r": \d+", "", note)] += documents
            for name, number in re.findall(r"([a-z ]+): (\d+)", note):
                self.measured["damaged", name.strip()] += int(number) * documents

    def _add_entered(self, rows: pa.Table) -> None:
        sizes = rows["sizes"].combine_chunks()
        matrix = sizes.flatten().to_numpy().reshape(rows.num_rows, -1)
        sources = rows["source"].combine_chunks().dictionary_encode()
        numbers = sources.indices.to_numpy()
        for index, source in enumerate(sources.dictionary.to_pylist()):
            mine = matrix[numbers == index]
            for stage in range(matrix.shape[1]):
                here = mine[:, stage]
                inside = here >= 0
                self.entered[source, str(stage), "documents"] += int(inside.sum())
                self.entered[source, str(stage), "bytes"] += int(here[inside].sum())

    def to_json(self) -> dict[str, Any]:
        """The sums as JSON values."""
        sums = {name: [[*key, value] for key, value in sorted(c.items())] for name, c in self._counters()}
        return {"staged": self.staged, **sums}

    def add_json(self, stored: dict[str, Any]) -> None:
        """Add sums written by `to_json`."""
        self.staged += stored["staged"]
        for name, counter in self._counters():
            for *key, value in stored[name]:
                counter[tuple(key)] += value

    def _counters(self) -> list[tuple[str, Counter[tuple[str, ...]]]]:
        return [(name, getattr(self, name)) for name in COUNTERS]

    def by(self, name: str) -> dict[str, dict[str, int]]:
        """Totals by "source" or "lang": documents, bytes, heldout_documents, heldout_bytes."""
        totals: dict[str, dict[str, int]] = {}
        position = 1 + KEYS.index(name)
        for key, number in sorted(self.groups.items()):
            total = totals.setdefault(
                key[position], {"documents": 0, "bytes": 0, "heldout_documents": 0, "heldout_bytes": 0}
            )
            total[key[-1]] += number
            if key[0] == "heldout":
                total["heldout_" + key[-1]] += number
        return totals

    def funnel(self, stages: Sequence[str]) -> list[dict[str, Any]]:
        """What entered and what left each stage, in all and by source."""
        sources = sorted({key[0] for key in self.entered})
        kept = self.by("source")
        rows = []
        for place, name in enumerate(stages):
            by_source = {}
            for source in sources:
                entry: dict[str, int] = {}
                for unit in ("documents", "bytes"):
                    entered = self.entered[source, str(place), unit]
                    after = place + 1
                    left = (
                        self.entered[source, str(after), unit]
                        if after < len(stages)
                        else kept.get(source, {}).get(unit, 0)
                    )
                    entry |= {unit: entered, f"{unit}_left": left}
                by_source[source] = entry
            total = {k: sum(e[k] for e in by_source.values()) for k in next(iter(by_source.values()), {})}
            rows.append({"stage": name, **total, "sources": by_source})
        return rows

    def counts(self, plan: Recipe) -> dict[str, Any]:
        """The manifest's counts.

        Raises RuntimeError unless in = kept + rejected, for the corpus and for every stage and source.
        """
        sources: dict[str, dict[str, Any]] = self.by("source")
        keys: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for key in self.groups:
            keys[key[1]].append(key)
        ranks: dict[str, list[str]] = defaultdict(list)
        for source, rank in sorted(self.origins):
            ranks[source].append(rank)
        for name, entry in sources.items():
            for field in KEYS[1:]:
                entry[field] = ", ".join(sorted({k[1 + KEYS.index(field)] for k in keys[name]} - {""}))
            mine = [plan.sources[int(rank)] for rank in ranks[name]]
            entry["unverified"] = any(source.unverified for source in mine)
            entry["weight"] = max((source.weight for source in mine), default=1.0)
        kept = sum(entry["documents"] for entry in sources.values())
        rejected = sum(self.reasons.values())
        if self.staged != kept + rejected:
            raise RuntimeError(f"{self.staged} documents read, but {kept} kept and {rejected} rejected")
        funnel = self.funnel(["read", *(stage.name for stage in plan.stages)])
        self._check(funnel)
        return {
            "read": self.staged,
            "kept": kept,
            "rejected": rejected,
            "reasons": self._rejected(lambda stage, source, reason: reason),
            "heldout": sum(entry["heldout_documents"] for entry in sources.values()),
            "languages": self.by("lang"),
            "sources": sources,
            "empty_sources": self._empty_sources(plan),
            "stages": funnel,
            "reasons_by_stage": self._rejected(lambda stage, source, reason: f"{stage}/{reason}"),
            "reasons_by_source": self._rejected(lambda stage, source, reason: f"{source}/{stage}/{reason}"),
            "registers": self._named("register"),
            "sizes": {str(2 ** int(power)): n for power, n in self._named("size").items()},
            "copies": {str(2 ** int(power)): n for power, n in self._named("copies").items()},
            "quality": {f"{int(tenth) / 10:.1f}": n for tenth, n in self._named("quality").items()},
            "personal_data": self._named("personal_data"),
            "repaired": self._named("repaired"),
            "damaged_characters": self._named("damaged"),
            "contamination": self._contamination(plan),
            "with_hanja": self.measured["hanja", "documents"],
        }

    def _empty_sources(self, plan: Recipe) -> dict[str, dict[str, Any]]:
        """Sources of which nothing was kept: documents read, and rejected by reason, the commonest first.

        Those of the recipe, and those that records name.
        """
        kept = self.by("source")
        used = {int(rank) for _, rank in self.origins}
        silent = [source.name for rank, source in enumerate(plan.sources) if rank not in used]
        named = dict.fromkeys([*silent, *sorted(key[0] for key in self.entered)])
        entries = {}
        for name in named:
            if name not in kept:
                reasons: Counter[str] = Counter()
                for (_, source, reason), number in sorted(self.reasons.items()):
                    reasons[reason] += number if source == name else 0
                read = self.entered[name, "0", "documents"]
                entries[name] = {"read": read, "reasons": {k: n for k, n in reasons.most_common() if n}}
        return entries

    def _check(self, funnel: Sequence[dict[str, Any]]) -> None:
        dropped: Counter[tuple[str, str]] = Counter()
        for (stage, name, _), number in self.reasons.items():
            dropped[stage, name] += number
        for row in funnel:
            for source, entry in row["sources"].items():
                number = dropped[row["stage"], source]
                if entry["documents"] != entry["documents_left"] + number:
                    raise RuntimeError(
                        f"stage {row['stage']}, source {source}: {entry} does not add up with "
                        f"{number} rejected"
                    )

    def _rejected(self, name: Callable[..., str]) -> dict[str, int]:
        totals: Counter[str] = Counter()
        for key, number in sorted(self.reasons.items()):
            totals[name(*key)] += number
        return dict(totals)

    def _named(self, what: str) -> dict[str, int]:
        return {key[1]: number for key, number in sorted(self.measured.items()) if key[0] == what}
