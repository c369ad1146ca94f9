"""The same cells in two atlases are found whatever their names were changed to."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targetscore.errors import AtlasError
from targetscore.samecells import SIZE, refuse_same_cells, same_cells, shared, sketch


def barcodes(n: int, seed: int) -> list[str]:
    letters = np.random.default_rng(seed).choice(list("ACGT"), (n, 16))
    return ["".join(row) for row in letters]


def atlas(name, cells, donors="P1", **columns):
    table = pd.DataFrame({"row": range(len(cells)), "cell": cells, "donor": donors})
    return {"atlas": name, "cell_sketch": sketch(table, pd.DataFrame(columns))}


def found(*atlases):
    return list(same_cells(atlases, "atlases.tsv"))


def test_one_donor_under_other_barcodes_is_found():
    names = barcodes(500, 1)
    one = atlas("one", [f"{b}-1" for b in names])
    two = atlas("two", [f"s7_{b}-1-0" for b in names[:200]] + barcodes(300, 2))
    (problem,) = found(one, two)
    assert problem.place == "one, two"
    assert "about 40 % of the smaller one, by barcodes and donors" in problem.wrong.replace(
        "40%", "40 %"
    )
    assert "donors must not count twice" in problem.remedy
    with pytest.raises(AtlasError):
        refuse_same_cells([one, two], "atlases.tsv")


def test_decorated_barcodes_are_found_under_other_donor_names():
    names = [f"MMRF_1200_{b}-1" for b in barcodes(300, 3)]
    assert found(atlas("one", names), atlas("two", names, donors="patient 4"))
    bare = [f"{b}-1" for b in barcodes(300, 3)]
    assert not found(atlas("one", bare), atlas("two", bare, donors="patient 4"))


@pytest.mark.parametrize("column", ["soma_joinid", "observation_joinid"])
def test_ids_of_cellxgene_are_found(column):
    ids = [f"{column}{i}" for i in range(100)]
    one = atlas("one", [f"c{i}" for i in range(100)], **{column: ids})
    two = atlas("two", [f"d{i}" for i in range(100)], **{column: ids[::-1]})
    (problem,) = found(one, two)
    assert column in problem.wrong


def test_different_cells_and_names_without_meaning_are_not_found():
    assert not found(atlas("one", barcodes(4000, 1)), atlas("two", barcodes(4000, 2)))
    plain = [f"cell{i}" for i in range(1000)]
    assert not found(atlas("one", plain), atlas("two", plain))
    few = barcodes(9, 1)
    assert not found(atlas("one", few), atlas("two", few)), "nine are too few to be sure"


def test_barcodes_of_one_list_are_shared_by_chance_only():
    """Two runs of 20,000 cells of one donor name share 2.7 % of a list of 737,000."""
    whitelist = np.array(barcodes(737_000, 4))
    rng = np.random.default_rng(5)
    one, two = (atlas(n, rng.choice(whitelist, 20_000, replace=False)) for n in "ab")
    _, share = shared(*(a["cell_sketch"]["barcode_of_donor"] for a in (one, two)))
    assert share == pytest.approx(0.027, abs=0.012)
    assert not found(one, two)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(20, 4 * SIZE),
    share=st.floats(0, 1),
    more=st.integers(0, 4 * SIZE),
    seed=st.integers(0, 100),
)
def test_share_against_a_plain_count(n, share, more, seed):
    rng = np.random.default_rng(seed)
    values = rng.choice(1 << 53, 2 * n + more, replace=False)
    a, b = set(values[:n]), set(values[int(n * (1 - share)) : int(n * (1 - share)) + n + more])
    true = len(a & b) / min(len(a), len(b))
    sketches = [sorted(s)[:SIZE] for s in (a, b)]
    both, estimate = shared(*sketches)
    assert both <= len(a & b)
    if max(len(a), len(b)) <= SIZE:
        assert estimate == true
    else:
        top = min(s[-1] for s in sketches if len(s) == SIZE)
        compared = min(sum(v <= top for v in s) for s in sketches)
        # Hoeffding: farther off by chance once in 10^9 draws; 0.06 for a whole sketch.
        far = np.sqrt(np.log(2e9) / (2 * max(compared, 1)))
        assert estimate == pytest.approx(true, abs=far)
