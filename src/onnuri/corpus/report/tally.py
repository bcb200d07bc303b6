"""Counting documents on their way out: by split, source, language, stage and reason."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.corpus.recipe import Recipe
from onnuri.corpus.report import domains
from onnuri.corpus.source import Source
from onnuri.corpus.stages.stage import counts_of
from onnuri.corpus.stages.table import STAGES

KEYS = ("source", "lang", "license", "legal_basis")
OPTED_OUT = "opted out"
"""Head of the reason of documents on a source's `opt_out` list."""
COUNTERS = ("groups", "reasons", "entered", "measured", "origins", "domains")


class Tally:
    """Sums that can be written down and added up: one tally a unit, one for the corpus."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.groups: Counter[tuple[str, ...]] = Counter()
        """(split, *KEYS, unit): unit is documents or bytes."""
        self.reasons: Counter[tuple[str, ...]] = Counter()
        """(stage, source, reason up to its colon): rejected documents."""
        self.entered: Counter[tuple[str, ...]] = Counter()
        """(source, number of the stage, unit): what entered a stage."""
        self.measured: Counter[tuple[str, ...]] = Counter()
        """(what, value): kept documents by size (the power of two of bytes below it); texts repaired."""
        self.origins: Counter[tuple[str, ...]] = Counter()
        """(source, number of the source in the recipe): kept documents. Records may name another."""
        self.domains: Counter[tuple[str, ...]] = Counter()
        """(source, domain): bytes of kept documents that name an address."""
        self.by_stage: dict[str, dict[str, Any]] = {}
        """What each stage has counted (`Stage.summary`)."""
        self.read = 0
        """Documents that were read."""

    def add(self, split: str, rows: pa.Table) -> None:
        """Count rows of one split: train, heldout or rejected."""
        if not rows.num_rows:
            return
        self._add_entered(rows)
        self._count_repaired(rows["repaired"])
        for chosen in self.recipe.stages:
            found = STAGES[chosen.name].summary(rows, chosen.options)
            add_counts(self.by_stage.setdefault(chosen.name, {}), found)
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
        powers = pc.floor(pc.log2(pc.max_element_wise(sized["bytes"], 1))).cast(pa.int32())
        for power, number in counts_of(powers).items():
            self.measured["size", str(2 ** int(power))] += number
        for entry in rows.group_by(["source", "rank"]).aggregate([([], "count_all")]).to_pylist():
            self.origins[entry["source"], str(entry["rank"])] += entry["count_all"]
        self.domains.update(domains.sizes(rows))

    def _count_repaired(self, notes: pa.ChunkedArray) -> None:
        """Documents by what was done to them; of "bad characters: 3" the characters are counted too."""
        for entry in notes.value_counts().to_pylist():
            note, documents = entry["values"] or "", entry["counts"]
            for name in re.sub(r": \d+", "", note).split(", ") if note else []:
                self.measured["repaired", name] += documents
            for name, number in re.findall(r"([a-z ]+): (\d+)", note):
                self.measured["damaged", name.strip()] += int(number) * documents

    def _add_entered(self, rows: pa.Table) -> None:
        sizes = rows["sizes"].combine_chunks()
        matrix = sizes.flatten().to_numpy().reshape(rows.num_rows, -1)
        sources = rows["source"].combine_chunks().dictionary_encode()
        codes = sources.indices.to_numpy()
        for index, source in enumerate(sources.dictionary.to_pylist()):
            mine = matrix[codes == index]
            for stage in range(matrix.shape[1]):
                here = mine[:, stage]
                inside = here >= 0
                self.entered[source, str(stage), "documents"] += int(inside.sum())
                self.entered[source, str(stage), "bytes"] += int(here[inside].sum())

    def to_json(self) -> dict[str, Any]:
        """The sums as JSON values."""
        sums = {name: [[*key, value] for key, value in sorted(c.items())] for name, c in self._counters()}
        return {"read": self.read, "by_stage": self.by_stage, **sums}

    def add_json(self, stored: dict[str, Any]) -> None:
        """Add sums written by `to_json`."""
        self.read += stored["read"]
        add_counts(self.by_stage, stored["by_stage"])
        for name, counter in self._counters():
            for *key, value in stored.get(name, []):
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
        for index, name in enumerate(stages):
            by_source = {}
            for source in sources:
                entry: dict[str, int] = {}
                for unit in ("documents", "bytes"):
                    entered = self.entered[source, str(index), unit]
                    after = index + 1
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

    def counts(self) -> dict[str, Any]:
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
            mine = [self.recipe.sources[int(rank)] for rank in ranks[name]]
            entry["unverified"] = any(source.unverified for source in mine)
            entry.update(self._provenance(name, mine))
        kept = sum(entry["documents"] for entry in sources.values())
        rejected = sum(self.reasons.values())
        if self.read != kept + rejected:
            raise RuntimeError(f"{self.read} documents read, but {kept} kept and {rejected} rejected")
        funnel = self.funnel(["read", *(stage.name for stage in self.recipe.stages)])
        self._check(funnel)
        return {
            "read": self.read,
            "kept": kept,
            "rejected": rejected,
            "reasons": self._rejected(lambda stage, source, reason: reason),
            "heldout": sum(entry["heldout_documents"] for entry in sources.values()),
            "languages": self.by("lang"),
            "sources": sources,
            "empty_sources": self._empty_sources(),
            "stages": funnel,
            "reasons_by_stage": self._rejected(lambda stage, source, reason: f"{stage}/{reason}"),
            "reasons_by_source": self._rejected(lambda stage, source, reason: f"{source}/{stage}/{reason}"),
            "sizes": self._named("size"),
            "repaired": self._named("repaired"),
            "damaged_characters": self._named("damaged"),
            **self._by_stages(),
        }

    def _provenance(self, name: str, mine: Sequence[Source]) -> dict[str, Any]:
        """What the recipe says of where a source's text comes from, domains, and how many opted out."""
        facts: dict[str, Any] = {
            key: ", ".join(dict.fromkeys(filter(None, (getattr(source, key) for source in mine))))
            for key in ("kind", "collected_at", "url", "dataset")
        }
        if Path(facts["dataset"]).is_dir():
            facts["dataset"] = ""
        number = sum(n for (_, *whose), n in self.reasons.items() if whose == [name, OPTED_OUT])
        facts["opt_out"] = any(source.opt_out for source in mine)
        return facts | {"opted_out": number, **domains.largest(self.domains, name)}

    def _by_stages(self) -> dict[str, Any]:
        counts: dict[str, Any] = {}
        for chosen in self.recipe.stages:
            summed = self.by_stage.get(chosen.name, {})
            counts |= STAGES[chosen.name].total(summed, chosen.options)
        return counts

    def _empty_sources(self) -> dict[str, dict[str, Any]]:
        """Sources of which nothing was kept: documents read, and rejected by reason, the commonest first.

        Those of the recipe, and those that records name.
        """
        kept = self.by("source")
        used = {int(rank) for _, rank in self.origins}
        silent = [source.name for rank, source in enumerate(self.recipe.sources) if rank not in used]
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


def add_counts(total: dict[str, Any], found: Mapping[str, Any]) -> None:
    """Add numbers, and mappings of numbers, to those of the same name."""
    for key, value in found.items():
        if isinstance(value, Mapping):
            add_counts(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value
