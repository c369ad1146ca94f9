"""Doublet scores: one sample at a time, seeded, and what is not assessed says so."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from targetscore.ingest import doublets as db


@pytest.fixture(scope="module")
def world():
    """Three samples: two of 240 cells with 20 doublets each, one of 30 cells."""
    rng = np.random.default_rng(0)
    kinds = rng.gamma(0.3, 1.0, (3, 300))
    kinds *= 1500 / kinds.sum(1, keepdims=True)
    kind = rng.integers(0, 3, 510)
    counts = rng.poisson(kinds[kind] * rng.lognormal(0, 0.3, 510)[:, None])
    sample = np.repeat(["b", "a", "small"], [240, 240, 30])
    doublet = np.zeros(510, dtype=bool)
    for start in (0, 240):
        for i in range(start, start + 20):
            partner = next(j for j in range(start + 20 + i % 20, start + 240) if kind[j] != kind[i])
            counts[i] += counts[partner]
            doublet[i] = True
    cells = pd.DataFrame(
        {"row": np.arange(510), "cell": [f"c{i:03d}" for i in range(510)], "sample": sample}
    )
    return cells, sp.csr_matrix(counts), doublet


def blocks_of(matrix, size=77, calls=None):
    def blocks():
        if calls is not None:
            calls.append(1)
        for a in range(0, matrix.shape[0], size):
            yield a, matrix[a : a + size]

    return blocks


@pytest.fixture(scope="module")
def scored(world):
    return db.score_doublets(world[0], blocks_of(world[1]))


def test_doublets_score_higher(world, scored):
    doublet = world[2][:480]
    score, flagged = scored["score"][:480], scored["flagged"][:480]
    assert score[doublet].median() > 3 * score[~doublet].median()
    assert flagged[doublet].mean() > 0.7
    assert flagged[~doublet].mean() < 0.05
    assert scored["reason"][:480].isna().all()
    assert scored["row"].tolist() == list(range(510))
    assert scored["score"].dropna().between(0, 1).all()


def test_small_samples_are_not_assessed_and_say_so(scored):
    small = scored[480:]
    assert small["score"].isna().all()
    assert small["flagged"].isna().all()
    assert set(small["reason"]) == {"not assessed: the sample has fewer than 200 cells"}


def test_a_sample_too_large_for_one_run_is_not_assessed(world, scored, monkeypatch):
    cells, counts, _ = world
    monkeypatch.setattr(db, "MAX_CELLS", 250)
    merged = cells.assign(sample=cells["sample"].replace("small", "b"))
    large = (merged["sample"] == "b").to_numpy()
    assert large.sum() == 270
    found = db.score_doublets(merged, blocks_of(counts))
    assert set(found.loc[large, "reason"]) == {
        "not assessed: the sample has more than 250 cells, so it is several runs"
    }
    assert found.loc[large, "score"].isna().all()
    assert found.loc[~large, "score"].equals(scored.loc[~large, "score"])


def test_order_of_rows_and_interleaving_change_nothing(world, scored):
    cells, counts, _ = world
    order = np.random.default_rng(1).permutation(len(cells))
    shuffled = cells.iloc[order].assign(row=np.arange(len(cells)))
    again = db.score_doublets(shuffled, blocks_of(counts[order], 31))
    back = again.set_index(pd.Index(order)).sort_index()
    for column in ("score", "flagged", "reason"):
        assert back[column].equals(scored[column].set_axis(back.index)), column


def test_threads_change_no_bit(world, scored):
    from threadpoolctl import threadpool_limits

    for threads in (1, 4):
        with threadpool_limits(threads):
            assert db.score_doublets(world[0], blocks_of(world[1])).equals(scored)


def test_rejected_cells_take_no_part(world, scored):
    cells, counts, _ = world
    padded = sp.vstack([sp.csr_matrix(np.full((40, 300), 9)), counts], format="csr")
    found = db.score_doublets(cells.assign(row=cells["row"] + 40), blocks_of(padded))
    assert found["score"].equals(scored["score"])


def test_one_pass_for_samples_that_follow_one_another(world, monkeypatch):
    cells, counts, _ = world
    monkeypatch.setattr(db, "OPEN_CELLS", 250)
    calls = []
    db.score_doublets(cells, blocks_of(counts, calls=calls))
    assert len(calls) == 1
    interleaved = cells.assign(sample=np.where(np.arange(510) % 2, "a", "b"))
    calls.clear()
    db.score_doublets(interleaved, blocks_of(counts, calls=calls))
    assert len(calls) == 2


def test_samples_scrublet_cannot_score_keep_their_reason():
    cells = pd.DataFrame({"row": range(220), "cell": [f"c{i}" for i in range(220)], "sample": "s"})
    few_genes = sp.csr_matrix(np.random.default_rng(0).poisson(2, (220, 8)))
    found = db.score_doublets(cells, blocks_of(few_genes))
    assert found["score"].isna().all()
    assert found["reason"].str.startswith("not assessed: ").all()
    nothing = db.score_doublets(cells, blocks_of(sp.csr_matrix((220, 8), dtype=np.int64)))
    assert nothing["reason"].str.startswith("not assessed: ").all()


def test_an_empty_cell_is_not_assessed(world):
    cells, counts, _ = world
    emptied = counts.tolil()
    emptied[100] = 0
    found = db.score_doublets(cells, blocks_of(emptied.tocsr()))
    assert np.isnan(found["score"][100])
    assert found["reason"][100] == "not assessed: fewer than 3 genes"
    assert found["score"][:480].notna().sum() == 479


def test_no_cells_give_an_empty_table(world):
    found = db.score_doublets(world[0][:0], blocks_of(world[1]))
    assert found.columns.tolist() == ["row", "score", "flagged", "reason"]
    assert found.empty


def test_cut_is_three_deviations_above_the_median():
    """Of normal scores one in 740 is above; of doublets nearly all."""
    rng = np.random.default_rng(2)
    singlets = rng.normal(0.10, 0.02, 20_000)
    doublets = rng.normal(0.5, 0.05, 200)
    cut = db.cut_above(np.concatenate([singlets, doublets]), doublets)
    assert cut == pytest.approx(0.10 + 3 * 0.02, rel=0.02)
    assert (singlets > cut).mean() == pytest.approx(1 / 740, rel=0.5)
    assert (doublets > cut).all()


def test_no_cut_where_simulated_doublets_do_not_stand_out():
    rng = np.random.default_rng(3)
    scores = rng.normal(0.1, 0.02, 1000)
    assert db.cut_above(scores, rng.normal(0.1, 0.02, 2000)) is None
    some = np.concatenate([rng.normal(0.1, 0.02, 2000), np.full(150, 0.4)])
    assert db.cut_above(scores, some) is None, "7 % of them"
    assert db.cut_above(scores, np.concatenate([some, np.full(150, 0.4)])) is not None
    assert db.cut_above(np.full(50, 0.3), np.full(100, 0.9)) is None, "no spread to judge by"


def test_one_cell_type_has_no_calls():
    """Doublets of like cells cannot be told: nobody may read that there are none."""
    rng = np.random.default_rng(4)
    level = rng.gamma(0.3, 1.0, 300)
    counts = rng.poisson(1500 * level / level.sum() * rng.lognormal(0, 0.3, 300)[:, None])
    cells = pd.DataFrame({"row": range(300), "cell": [f"c{i}" for i in range(300)], "sample": "s"})
    found = db.score_doublets(cells, blocks_of(sp.csr_matrix(counts)))
    assert found["score"].notna().all()
    assert found["flagged"].isna().all()
    reason = "not flagged: simulated doublets do not stand out either"
    assert set(found["reason"]) == {reason}


def test_scanpy_is_imported_only_when_used():
    import subprocess
    import sys

    code = "import sys, targetscore.ingest.doublets; sys.exit('scanpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
