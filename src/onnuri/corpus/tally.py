"""Counting documents on their way out: by split, source, language, stage and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

KEYS = ("source", "lang", "license", "legal_basis")


class Tally:
    """Sums that can be written down and added up: one tally a shard, one for the corpus."""

    def __init__(self) -> None:
        self.groups: Counter[tuple[str, ...]] = Counter()
        """(split, *KEYS, unit): unit is documents or bytes."""
        self.reasons: Counter[tuple[str, ...]] = Counter()
        """(stage, reason up to its colon): documents."""
        self.entered: Counter[tuple[str, ...]] = Counter()
        """(source, number of the stage, unit): what entered a stage."""
        self.measured: Counter[tuple[str, ...]] = Counter()
        """(what, value): kept documents by register and by size (the power of two of bytes below it), and
        personal data found by kind."""

    def add(self, split: str, rows: pa.Table) -> None:
        """Count rows of one split: train, heldout or rejected."""
        if not rows.num_rows:
            return
        self._add_entered(rows)
        if split == "rejected":
            heads = pc.list_element(pc.split_pattern(rows["reason"], ":", max_splits=1), 0)
            for stage, reason in zip(rows["stage"].to_pylist(), heads.to_pylist(), strict=True):
                self.reasons[stage, reason] += 1
            return
        sized = rows.select(list(KEYS)).append_column("bytes", pc.binary_length(rows["text"]))
        grouped = sized.group_by(list(KEYS)).aggregate([("bytes", "sum"), ("bytes", "count")])
        for entry in grouped.to_pylist():
            key = (split, *(entry[name] for name in KEYS))
            self.groups[(*key, "bytes")] += entry["bytes_sum"]
            self.groups[(*key, "documents")] += entry["bytes_count"]
        powers = pc.floor(pc.log2(pc.max_element_wise(sized["bytes"], 1)))
        for entry in powers.value_counts().to_pylist():
            self.measured["size", f"{int(entry['values']):02d}"] += entry["counts"]
        for entry in rows["register"].value_counts().to_pylist():
            if entry["values"] is not None:
                self.measured["register", entry["values"]] += entry["counts"]
        found = rows["personal_data"].combine_chunks()
        for field in found.type:
            self.measured["personal_data", field.name] += (
                pc.sum(pc.struct_field(found, field.name)).as_py() or 0
            )

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

    def to_json(self) -> dict[str, list[list[Any]]]:
        """The sums as JSON values."""
        return {name: [[*key, value] for key, value in sorted(c.items())] for name, c in self._counters()}

    def add_json(self, stored: dict[str, list[list[Any]]]) -> None:
        """Add sums written by `to_json`."""
        for name, counter in self._counters():
            for *key, value in stored[name]:
                counter[tuple(key)] += value

    def _counters(self) -> list[tuple[str, Counter[tuple[str, ...]]]]:
        return [(name, getattr(self, name)) for name in ("groups", "reasons", "entered", "measured")]

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

    def counts(self, read: int, stages: Sequence[str]) -> dict[str, Any]:
        """The manifest's counts.

        Raises RuntimeError unless in = kept + rejected, for the corpus and for every stage.
        """
        sources: dict[str, dict[str, Any]] = self.by("source")
        for name, entry in sources.items():
            keys = [key for key in self.groups if key[1] == name]
            for field in KEYS[1:]:
                entry[field] = ", ".join(sorted({k[1 + KEYS.index(field)] for k in keys} - {""}))
        kept = sum(entry["documents"] for entry in sources.values())
        rejected = sum(self.reasons.values())
        if read != kept + rejected:
            raise RuntimeError(f"{read} documents read, but {kept} kept and {rejected} rejected")
        funnel = self.funnel(stages)
        for row in funnel:
            dropped = sum(n for (stage, _), n in self.reasons.items() if stage == row["stage"])
            if row.get("documents", 0) != row.get("documents_left", 0) + dropped:
                raise RuntimeError(f"stage {row['stage']}: {row} does not add up with {dropped} rejected")
        reasons: dict[str, int] = {}
        for (_, reason), number in sorted(self.reasons.items()):
            reasons[reason] = reasons.get(reason, 0) + number
        return {
            "read": read,
            "kept": kept,
            "rejected": rejected,
            "reasons": reasons,
            "heldout": sum(entry["heldout_documents"] for entry in sources.values()),
            "languages": self.by("lang"),
            "sources": sources,
            "stages": funnel,
            "reasons_by_stage": {f"{s}/{r}": n for (s, r), n in sorted(self.reasons.items())},
            "registers": self._named("register"),
            "sizes": {str(2 ** int(power)): n for power, n in self._named("size").items()},
            "personal_data": self._named("personal_data"),
        }

    def _named(self, what: str) -> dict[str, int]:
        return {key[1]: number for key, number in sorted(self.measured.items()) if key[0] == what}
