"""Which rank computes what, and which ranks form a group."""

from __future__ import annotations

import itertools

import pytest

from onnuri.base.errors import UserError
from onnuri.base.process import ProcessRank
from onnuri.parallel.ranks import Ranks


def test_all_ranks_of_a_launcher_are_data_parallel() -> None:
    ranks = Ranks.of_process(ProcessRank(5, 8, 1, 4, launched=True))
    assert (ranks.dp_rank, ranks.dp_size, ranks.sp_rank, ranks.ep_rank) == (5, 8, 0, 0)
    assert (ranks.local_rank, ranks.local_world_size, ranks.is_lead) == (1, 4, False)
    assert ranks.members() == ([list(range(8))], [[rank] for rank in range(8)], [[r] for r in range(8)])


@pytest.mark.parametrize(("world", "sp", "ep"), [(8, 2, 2), (12, 3, 2), (6, 1, 3), (4, 4, 1)])
def test_groups_partition_the_world_and_hold_what_they_say(world: int, sp: int, ep: int) -> None:
    everyone = [Ranks(rank, world, sp_size=sp, ep_size=ep) for rank in range(world)]
    dp_groups, sp_groups, ep_groups = everyone[0].members()
    for groups in (dp_groups, sp_groups, ep_groups):
        assert sorted(itertools.chain(*groups)) == list(range(world))
    for group in sp_groups:  # one share of the batch, all parts of its sequences
        assert len({everyone[rank].dp_rank for rank in group}) == 1
        assert [everyone[rank].sp_rank for rank in group] == list(range(sp))
    for group in dp_groups:  # the same part of the sequences, all shares of the batch
        assert len({everyone[rank].sp_rank for rank in group}) == 1
        assert [everyone[rank].dp_rank for rank in group] == list(range(world // sp))
    for group in ep_groups:  # all experts once
        assert [everyone[rank].ep_rank for rank in group] == list(range(ep))


@pytest.mark.parametrize(
    ("sp", "ep", "message"), [(3, 1, "sp_size=3 does not"), (2, 3, "ep_size=3 does not")]
)
def test_what_does_not_divide_is_refused(sp: int, ep: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Ranks(0, 8, sp_size=sp, ep_size=ep)
