"""The shuffled order is a bijection, keyed, and free to enter anywhere."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onnuri.tokens.order import permute


@given(n=st.integers(1, 3000), key=st.integers(0, 2**80))
def test_every_place_once(n: int, key: int) -> None:
    assert sorted(permute(np.arange(n), n, key)) == list(range(n))


@given(n=st.integers(1, 2**40), key=st.integers(0, 2**64), data=st.data())
def test_a_place_alone_equals_the_place_among_others(n: int, key: int, data: st.DataObject) -> None:
    places = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20)))
    together = permute(places, n, key)
    assert ((together >= 0) & (together < n)).all()
    assert [int(permute(places[i : i + 1], n, key)[0]) for i in range(len(places))] == together.tolist()


def test_keys_and_neighbours_are_unrelated() -> None:
    n = 100_003
    first, second = permute(np.arange(n), n, 1), permute(np.arange(n), n, 2)
    assert (first == second).mean() < 10 / n + 1e-3
    for order in (first, second):
        assert abs(np.corrcoef(np.arange(n), order)[0, 1]) < 0.02
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02
        assert (np.diff(order) == 1).mean() < 1e-3
        halves = order[: n // 2]
        assert abs((halves < n // 2).mean() - 0.5) < 0.01
