"""Which sources, licences and legal bases are in a checkpoint: exact counts of the tokens it was shown."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.export.huggingface import find_source
from onnuri.ledger.config import SourcesConfig
from onnuri.run.run_file import unknown_options
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader


class SourceShare(NamedTuple):
    """How much of what a checkpoint was shown came from one source."""

    name: str
    tokens: int
    share: float
    unique_tokens: int
    """In the training shards."""
    epochs: float
    basis: str
    """Licence, legal basis, kind of source and time of collection."""


class Sources(NamedTuple):
    """What a checkpoint was shown."""

    checkpoint: str
    tokens: int
    batches: int
    excluded_batches: int
    """Left out of training after rollbacks, and counted in `tokens` all the same."""
    shares: list[SourceShare]
    """Most tokens first."""


def sources(config: SourcesConfig) -> Sources:
    """Exact counts of the tokens that a checkpoint was shown, by source.

    Raises UserError where the shards are not there or are others than the run's.
    """
    found = find_source(config.run)
    options = found.run["config"]["data"] | ({"path": config.data} if config.data else {})
    if unknown := unknown_options(DataConfig, options, "data."):
        raise UserError(
            f"{config.run} was trained with the option {unknown[0]}, which this version does not know: "
            "count with the version of Onnuri that trained it"
        )
    if not config.data and not Path(options["path"]).is_dir():
        raise UserError(f"the shards are not at {options['path']} any more; say where with data=DIR")
    data = manifest.read(options["path"], "tokens")
    if data.identity != found.tokens.identity:
        raise UserError(f"{options['path']} holds other shards than the run was trained on; give data=DIR")
    train = found.run["config"]["train"]
    batch, ramp = train["global_batch_size"], train.get("batch_ramp")
    loader = Loader(DataConfig(**options), data, batch, found.tokens_folder, ramp)
    seen = loader.targets_by_source(found.step)
    facts = {source["name"]: source for source in data.counts["sources"]}
    total = sum(seen.values())
    shares = []
    for name, tokens in sorted(seen.items(), key=lambda item: (-item[1], item[0])):
        source = facts[name]
        basis = f"{source['license'] or 'not stated'}; {source['legal_basis'] or 'not stated'}"
        basis += " (unverified)" * source["unverified"]
        basis += f"; {source.get('kind') or 'kind not stated'}"
        period = source.get("collected_at")
        basis += f"; collected {period}" if period else "; time of collection not stated"
        unique = source["train_tokens"]
        shares.append(SourceShare(name, tokens, tokens / total, unique, tokens / unique, basis))
    excluded = len(found.checkpoint.counts["progress"]["left_out"])
    return Sources(found.folder.name, total, found.step, excluded, shares)


def table(found: Sources) -> str:
    """The sources for people."""
    lines = [f"{found.checkpoint}: {found.tokens:,} tokens in {found.batches:,} batches"]
    if found.excluded_batches:
        lines.append(
            f"{found.excluded_batches} of the batches were excluded from training after rollbacks; they "
            "are counted here"
        )
    basis = "licence; legal basis; kind; collected"
    lines.append(f"{'source':32}{'tokens':>16}{'share':>8}{'unique':>16}{'epochs':>8}  {basis}")
    lines += [
        f"{each.name:32}{each.tokens:16,}{each.share:8.1%}{each.unique_tokens:16,}{each.epochs:8.2f}"
        f"  {each.basis}"
        for each in found.shares
    ]
    return "\n".join(lines)
