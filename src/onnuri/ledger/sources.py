"""Which sources, licences and legal bases are in a checkpoint: exact counts of the tokens it was shown."""

from __future__ import annotations

from pathlib import Path

from onnuri import manifest
from onnuri.errors import UserError
from onnuri.export.huggingface import find_source
from onnuri.ledger.config import SourcesConfig
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader
from onnuri.train.run_plan import unknown_options


def sources(config: SourcesConfig) -> int:
    """Print a table, most tokens first. Returns the exit status."""
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
    batch = found.run["config"]["train"]["global_batch_size"]
    loader = Loader(DataConfig(**options), data, batch, found.tokens_folder)
    seen = loader.targets_by_source(found.step)
    facts = {source["name"]: source for source in data.counts["sources"]}
    total = sum(seen.values())
    print(f"{found.folder.name}: {total:,} tokens in {found.step:,} batches")
    left_out = len(found.checkpoint.counts["progress"]["left_out"])
    if left_out:
        print(f"{left_out} of the batches were left out of training after rollbacks; they are counted here")
    print(f"{'source':32}{'tokens':>16}{'share':>8}{'epochs':>8}  licence; legal basis")
    for name, tokens in sorted(seen.items(), key=lambda item: (-item[1], item[0])):
        source = facts[name]
        basis = f"{source['license'] or 'not stated'}; {source['legal_basis'] or 'not stated'}"
        basis += " (unverified)" * source["unverified"]
        epochs = tokens / source["train_tokens"]
        print(f"{name:32}{tokens:16,}{tokens / total:8.1%}{epochs:8.2f}  {basis}")
    return 0
