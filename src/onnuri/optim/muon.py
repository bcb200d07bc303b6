"""Muon (Jordan et al., 2024) over sharded parameters: momentum, orthogonalised matrix by matrix.

Options on top, each by a switch of its group: momentum that warms up, rows divided by their running size
(NorMuon), a matrix for each head of queries and keys, cautious weight decay.

An update must see a whole matrix, and ZeRO leaves each rank a run of its values. So each matrix has an
owner: ranks send it their runs of the momentum, it orthogonalises, and sends back to each what it holds.
That is two all-to-all exchanges a step, and the arithmetic is divided among the ranks. The alternative,
gathering every matrix on every rank, costs as many times more arithmetic as there are ranks.

Matrices are named by the model, never recognised by their shape: under `zero.Init` every parameter looks
one-dimensional, and a Muon that goes by shape is AdamW without a word (DeepSpeed issue 8438). Queries, keys
and values, and gate and up, are matrices of their own although they share a parameter. Embeddings, output
matrix and norm scales are left to AdamW.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from onnuri.optim.adamw import CautiousAdamW, decay_where_smaller
from onnuri.parallel.zero_layout import ShardInfo

POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
"""Of odd polynomials a x + b x^3 + c x^5 that take singular values from [0.001, 1] to [0.87, 1.13] in five
steps (arXiv 2505.16932); the first four are damped by 1.01 so that rounding in bf16 stays harmless."""
DAMPING, NORM_MARGIN = 1.01, 1.02
RMS = 0.2
"""Root mean square of an update, AdamW's typical one: both take one learning rate (arXiv 2502.16982)."""
LARGEST_ROW_SCALE = 1e8
"""1 / epsilon of NorMuon: rows that never had a gradient stay as they are."""
BATCH_ELEMENTS = 1 << 26
"""Most elements of matrices of one shape that are orthogonalised at once."""

Runs = list[list[torch.Tensor]]
"""1-D tensors, one list a rank."""


class Matrix(NamedTuple):
    """A matrix within a flattened parameter, who orthogonalises it, and what of it is where."""

    key: tuple[str, int]
    """Name of the parameter, and the first row in it."""
    rows: int
    columns: int
    owner: int
    """Rank."""
    master: torch.Tensor
    """Of its parameter on this rank."""
    to_master: int
    """Offset in the master minus offset in the matrix."""
    owned: list[slice]
    """For each rank, what it sends of the flattened matrix: all of it once, in the order of ranks."""
    held: list[slice]
    """For each rank, what it steps on."""

    def in_master(self, run: slice) -> slice:
        """Where a run that is held here lies in the master."""
        return slice(run.start + self.to_master, run.stop + self.to_master)


class Muon(CautiousAdamW):
    """Groups with `muon` true take orthogonalised momentum (of their `momentum`), others AdamW.

    `bind` says where the matrices are, once DeepSpeed has laid them out; a step before that (some ZeRO
    stages take one with zero gradients at start) leaves Muon's groups alone.
    """

    num_orthogonalised = 0
    """Matrices that this rank has orthogonalised so far."""
    matrices: Sequence[Matrix] = ()

    def bind(
        self,
        shards: Sequence[ShardInfo],
        shapes: dict[str, list[tuple[int, int]]],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Learn the layout. A collective call.

        Args:
            shapes: of the matrices in each parameter of Muon's groups, in the order they lie there.
            device, dtype: to exchange and to orthogonalise in.
        """
        self.device, self.dtype, self.matrices = device, dtype, []
        self.row_moments: dict[tuple[str, int], torch.Tensor] = {}
        """NorMuon: running mean square of the rows of this rank's matrices, [rows] float32, by name of the
        parameter and first row in it."""
        chosen = [shard for shard in shards if shard.group.get("muon")]
        here = [[*shard.owned_range(), shard.start, shard.start + shard.numel] for shard in chosen]
        ranges = torch.tensor(here, device=device).view(1, len(chosen), 4)
        everywhere = ranges.repeat(dist.get_world_size(), 1, 1)
        dist.all_gather_into_tensor(everywhere, ranges)
        work = [0] * dist.get_world_size()
        for shard, runs in zip(chosen, everywhere.transpose(0, 1).tolist(), strict=True):
            first = row = 0
            for rows, columns in shapes[shard.name]:
                owner = work.index(min(work))
                work[owner] += rows * columns * min(rows, columns)
                owned = [_overlap(run[0] - first, run[1] - first, rows * columns) for run in runs]
                held = [_overlap(run[2] - first, run[3] - first, rows * columns) for run in runs]
                to_master = shard.master_start - shard.start + first
                key = (shard.name, row)
                self.matrices.append(
                    Matrix(key, rows, columns, owner, shard.master, to_master, owned, held)
                )
                if owner == dist.get_rank() and shard.group["normuon"]:
                    self.row_moments[key] = torch.zeros(rows, device=device)
                first, row = first + rows * columns, row + rows

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step. A collective call: every rank has the same groups."""
        self.adamw_step([group for group in self.param_groups if not group.get("muon")])
        for group in self.param_groups:
            if group.get("muon") and self.matrices:
                self._step_group(group)

    def _step_group(self, group: dict[str, Any]) -> None:
        directions, decay = {}, group["lr"] * group["weight_decay"]
        for master in group["params"]:
            momentum = self.state[master]["momentum_buffer"]
            momentum.mul_(group["momentum"]).add_(master.grad)
            directions[master] = momentum.mul(group["momentum"]).add_(master.grad).view(-1)  # Nesterov's
            if not group["cautious"]:
                master.mul_(1 - decay)
        rank, ranks = dist.get_rank(), range(dist.get_world_size())
        of_owner: list[list[Matrix]] = [[] for _ in ranks]
        for matrix in self.matrices:
            if matrix.master in directions:
                of_owner[matrix.owner].append(matrix)
        mine = of_owner[rank]
        arrived = self._exchange(
            [[directions[m.master][m.in_master(m.owned[rank])] for m in theirs] for theirs in of_owner],
            [[_length(m.owned[sender]) for m in mine] for sender in ranks],
        )
        wholes = [
            torch.cat(pieces).view(matrix.rows, matrix.columns)
            for matrix, pieces in zip(mine, zip(*arrived, strict=True), strict=True)
        ]
        del directions, arrived  # so that no more is held than in the exchange
        updates = [
            self._scaled(matrix, update, group).flatten()
            for matrix, update in zip(mine, orthogonalise_all(wholes), strict=True)
        ]
        del wholes
        self.num_orthogonalised += len(mine)
        returned = self._exchange(
            [[update[m.held[to]] for m, update in zip(mine, updates, strict=True)] for to in ranks],
            [[_length(m.held[rank]) for m in theirs] for theirs in of_owner],
        )
        for theirs, runs in zip(of_owner, returned, strict=True):
            for matrix, update in zip(theirs, runs, strict=True):
                part = matrix.master.view(-1)[matrix.in_master(matrix.held[rank])]
                if group["cautious"]:
                    decay_where_smaller(part, part.clone(), update.to(part).neg(), decay)
                part.sub_(update.to(part), alpha=group["lr"])

    def _scaled(self, matrix: Matrix, update: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        """An orthogonal matrix at the size of an update; NorMuon makes its rows alike on the way."""
        rows, columns = matrix.rows, matrix.columns
        spectral_norm = RMS * max(rows, columns) ** 0.5
        if group["update_scale"] == "spectral":
            spectral_norm = max(1.0, rows / columns) ** 0.5
        if not group["normuon"]:
            return update.mul_(spectral_norm)
        moment = self.row_moments[matrix.key]
        squares = update.float().square()
        moment.lerp_(squares.mean(1), 1 - group["beta2"])
        scale = moment.rsqrt().clamp(max=LARGEST_ROW_SCALE)
        size = (squares.sum(1) * scale.square()).sum().sqrt().clamp(min=1e-12)
        return update.mul_((scale * (spectral_norm * min(rows, columns) ** 0.5 / size)).to(update)[:, None])

    def _exchange(self, runs: Runs, sizes: list[list[int]]) -> Runs:
        """Send each rank its runs, and receive from each runs of the given sizes."""
        sent = [run.to(self.device, self.dtype) for to in runs for run in to]
        out = torch.cat(sent) if sent else torch.empty(0, device=self.device, dtype=self.dtype)
        del sent
        totals = [sum(each) for each in sizes]
        received = out.new_empty(sum(totals))
        dist.all_to_all_single(received, out, totals, [sum(run.numel() for run in to) for to in runs])
        parts = zip(received.split(totals), sizes, strict=True)
        return [list(part.split(each)) for part, each in parts]


def _overlap(start: int, stop: int, size: int) -> slice:
    """The part of a range that lies within 0 and `size`."""
    start = min(max(start, 0), size)
    return slice(start, max(start, min(stop, size)))


def _length(run: slice) -> int:
    return int(run.stop - run.start)


def orthogonalise_all(matrices: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """`orthogonalise` of each; those of one shape go together, as heads are many and small."""
    by_shape: dict[torch.Size, list[int]] = {}
    for index, matrix in enumerate(matrices):
        by_shape.setdefault(matrix.shape, []).append(index)
    found: dict[int, torch.Tensor] = {}
    for shape, members in by_shape.items():
        size = max(1, BATCH_ELEMENTS // max(1, shape.numel()))
        for start in range(0, len(members), size):
            batch = members[start : start + size]
            together = orthogonalise(torch.stack([matrices[index] for index in batch]))
            found |= zip(batch, together, strict=True)
    return [found[index] for index in range(len(matrices))]


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """About the nearest matrix with orthonormal rows (or columns, of which there are fewer).

    Args:
        matrix: [..., rows, columns], float32 or bfloat16; the work is done in its dtype.

    Its singular values come out between 0.87 and 1.13 where they were above 0.001 of the Frobenius norm.
    """
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = (matrix.mT if tall else matrix).reshape(-1, *sorted(matrix.shape[-2:]))
    norm = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True, dtype=torch.float32)
    x = x / (norm * NORM_MARGIN + 1e-7).to(x.dtype)
    for number, (a, b, c) in enumerate(POLAR_EXPRESS, start=1):
        damp = DAMPING if number < len(POLAR_EXPRESS) else 1.0
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b / damp**3, alpha=c / damp**5)
        x = torch.baddbmm(x, polynomial, x, beta=a / damp)
    return (x.mT.contiguous() if tall else x).view(matrix.shape)
