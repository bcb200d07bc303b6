"""Attention by cuDNN, through PyTorch, for rows that are one document each.

cuDNN builds a plan for each number and length of documents, hundreds of milliseconds a batch, so packed
documents are refused. NVIDIA GPUs of compute capability 8.0 and up, bf16 and fp16.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from onnuri.base.errors import UserError
from onnuri.kernels.attention_mask import AttentionMask, check_unbranched


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask | None = None
) -> torch.Tensor:
    """See `operations.Attention`. Raises UserError for documents within a row and for windows."""
    batch, length = query.shape[:2]
    if mask is not None:
        check_unbranched(mask, "cudnn")
    if mask is not None and (len(mask.cu_seqlens) != batch + 1 or 0 < mask.window < length):
        raise UserError(
            "kernels.attention=cudnn takes whole rows, without documents or windows; "
            "set data.document_mask=false or kernels.attention=varlen"
        )
    queries, keys, values = (each.transpose(1, 2) for each in (query, key, value))
    grouped = query.shape[2] != key.shape[2]
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        out = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=grouped)
    return out.transpose(1, 2)
