"""Write a Hugging Face folder as a GGUF file, weight by weight: memory stays near the largest one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnuri.base import manifest
from onnuri.base.errors import UserError, optional_package, system_error
from onnuri.export.gguf.config import GgufConfig
from onnuri.export.gguf.vocabulary import Vocabulary, read_vocabulary
from onnuri.hf.config import read_config
from onnuri.hf.folder import read_config_file
from onnuri.hf.load import check_model_folder
from onnuri.model.config import ModelConfig
from onnuri.model.spec import spec_of

if TYPE_CHECKING:
    import numpy as np
    import torch

log = logging.getLogger(__name__)

MAGIC = b"GGUF"
FILE_TYPES = {"float32": 0, "float16": 1, "bfloat16": 32}
"""`general.file_type`: of most matrices."""


def write_gguf(config: GgufConfig) -> None:
    """Convert the folder.

    Raises UserError, and leaves no file behind, for a folder that is damaged or of another architecture, a
    tokenizer that llama.cpp does not know, a weight that float16 cannot hold, and a disk that is full.
    """
    folder, output = Path(config.model), Path(config.output)
    check_model_folder(folder)
    with optional_package("gguf", "onnuri export gguf"):
        import gguf
    from onnuri.hf.weights import Weights

    if output.exists() and not _is_gguf(output):
        raise UserError(f"output={output} exists and is no GGUF file; choose another name")
    model = read_config(folder)
    vocabulary = read_vocabulary(folder, model.vocab_size)
    weights = Weights(folder, model)
    partial = output.with_name(f"{output.name}.{os.getpid()}.partial")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            writer = gguf.GGUFWriter(partial, spec_of(model).hf_type(model).model_type)
            _describe(writer, folder, model, config.dtype)
            _add_vocabulary(writer, vocabulary)
            _write(writer, weights, model, config.dtype)
            manifest.sync(partial)
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
        manifest.sync(output.parent)
    except OSError as error:
        raise system_error(error, output) from error
    log.info(
        f"wrote {config.model} to {output}: {model.num_parameters() / 1e6:.1f}M parameters in "
        f"{config.dtype}, pre-tokenizer {vocabulary.pre}"
    )


def _is_gguf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def _describe(writer: Any, folder: Path, model: ModelConfig, dtype: str) -> None:
    """The shape of the model, and where it comes from."""
    writer.add_type("model")
    writer.add_name(folder.resolve().name)
    writer.add_file_type(FILE_TYPES[dtype])
    if (folder / manifest.FILE_NAME).is_file():
        writer.add_string("onnuri.model", manifest.read(folder, "model").identity)
    writer.add_vocab_size(model.vocab_size)
    writer.add_context_length(int(read_config_file(folder).get("max_position_embeddings") or 0))
    writer.add_embedding_length(model.hidden_size)
    writer.add_block_count(model.num_layers)
    writer.add_feed_forward_length(model.intermediate_size)
    writer.add_head_count(model.num_heads)
    writer.add_head_count_kv(model.num_kv_heads)
    writer.add_key_length(model.head_dim)
    writer.add_value_length(model.head_dim)
    writer.add_rope_dimension_count(model.head_dim)
    writer.add_rope_freq_base(model.rope_theta)
    writer.add_layer_norm_rms_eps(model.rms_norm_eps)


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    """The tokenizer, and the template for conversations."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    for role, number in vocabulary.roles.items():
        writer.add_uint32(f"tokenizer.ggml.{role}_token_id", number)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    if vocabulary.template:
        writer.add_chat_template(vocabulary.template)


def _write(writer: Any, weights: Any, model: ModelConfig, dtype: str) -> None:
    """Header, table of tensors, tensors."""
    import numpy as np
    from gguf import MODEL_ARCH_NAMES, GGMLQuantizationType, get_tensor_name_map
    from tqdm import tqdm

    from onnuri.hf.weights import hf_names

    architecture = next(key for key, name in MODEL_ARCH_NAMES.items() if name == writer.arch)
    known = get_tensor_name_map(architecture, model.num_layers)
    matrices = {
        "float32": (GGMLQuantizationType.F32, np.float32, 4),
        "float16": (GGMLQuantizationType.F16, np.float16, 2),
        "bfloat16": (GGMLQuantizationType.BF16, np.uint16, 2),
    }[dtype]
    norms = (GGMLQuantizationType.F32, np.float32, 4)
    table = spec_of(model).by_name(model)
    try:
        for name, each in table.items():
            shape = (each.columns,) if each.columns else ()
            kind, numpy_dtype, size = matrices if each.columns else norms
            for theirs, rows in zip(hf_names(each, name), each.rows, strict=True):
                tensor, whole = known.get_name(theirs, (".weight",)), (rows, *shape)
                writer.add_tensor_info(tensor, whole, np.dtype(numpy_dtype), prod(whole) * size, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name in tqdm(table, desc="weights", unit="weight", disable=None):
            for tensor in _tensors(weights, model, name, dtype):
                writer.write_tensor_data(tensor)
    finally:
        writer.close()


def _tensors(weights: Any, model: ModelConfig, name: str, dtype: str) -> Iterator[np.ndarray]:
    """The matrices, or the norm, in a weight of ours, in what the file stores."""
    import torch

    from onnuri.hf.weights import hf_weights

    heads = {"q_proj.weight": model.num_heads, "k_proj.weight": model.num_kv_heads}
    for theirs, value in hf_weights(model, name, weights.read(name)):
        found = value
        count = heads.get(theirs.rpartition("self_attn.")[2])
        if count and spec_of(model).hf_type(model).model_type == "llama":
            found = interleave(found, count)
        if found.dim() == 1 or dtype == "float32":
            yield found.contiguous().numpy()
        elif dtype == "float16":
            if not bool((half := found.half()).isfinite().all()):
                raise UserError(f"{theirs} has values that float16 cannot hold; use dtype=bfloat16")
            yield half.contiguous().numpy()
        else:
            yield found.bfloat16().contiguous().view(torch.uint16).numpy()


def interleave(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """The rows of a query or key matrix in the order of llama.cpp's `llama`.

    Rotary positions turn pairs of numbers in each head. In Hugging Face's models a pair is i and i + D / 2,
    in llama.cpp's `llama` it is 2i and 2i + 1; in its `qwen3` it is as with Hugging Face.
    """
    return rows.view(heads, 2, -1, rows.shape[-1]).transpose(1, 2).reshape(rows.shape)
