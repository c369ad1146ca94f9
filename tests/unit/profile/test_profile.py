"""Sufficient statistics against a dense brute-force loop and scanpy, and invariants."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from targetscore.contracts import EXPRESSION, GROUPS
from targetscore.errors import ContractError, MatrixError
from targetscore.libraries import bin_centres, library_bins
from targetscore.profile.groups import GROUP_KEY, number_groups, with_doublets
from targetscore.profile.kernels import thinned_detection
from targetscore.profile.merging import profile_packs
from targetscore.profile.packing import pack_rows


def test_against_brute_force(kit, world, tmp_path):
    counts, cells, genes = world
    kit.same_as_brute_force(counts, cells, genes, *kit.tables(cells, genes, counts, tmp_path))


def test_the_files_keep_their_contracts(kit, world, tmp_path):
    counts, cells, genes = world
    groups, expression = kit.tables(cells, genes, counts, tmp_path)
    GROUPS.check(groups, "groups")
    EXPRESSION.check(expression, "expression")


def test_group_totals_and_histogram(kit, world, tmp_path):
    counts, cells, genes = world
    groups, _ = kit.tables(cells, genes, counts, tmp_path, n_shards=3)
    size = counts[:, ~genes["masked"].to_numpy()].sum(axis=1)
    for group in groups.to_dict("records"):
        own = (
            (cells["donor"] == group["donor"]) & (cells["cell_type_id"] == group["cell_type_id"])
        ).to_numpy()
        assert group["n_cells"] == own.sum()
        assert group["total_counts"] == counts[own].sum()
        assert group["library_counts"] == size[own].sum()
        assert group["n_empty_libraries"] == (size[own] == 0).sum()
        histogram = np.repeat(group["library_bin"], group["library_cells"])
        assert sorted(histogram) == sorted(library_bins(size[own & (size > 0)]))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    rows=st.integers(1, 60),
    threads=st.integers(1, 4),
    n_shards=st.integers(1, 70),
    lengths_known=st.booleans(),
)
def test_blocks_threads_shards_and_row_order_do_not_matter(
    kit, seed, rows, threads, n_shards, lengths_known, tmp_path_factory
):
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(0.3, 0.02, (60, 9)) * rng.choice([1, 1, 1, 40], (60, 9))
    cells = kit.cell_table(60, rng)
    cells["doublet"] = rng.choice(["yes", "no", "not_assessed"], 60)
    cells = cells[rng.random(60) < 0.9].reset_index(drop=True)
    genes = kit.gene_table([f"G{i}" for i in range(9)])
    folder = tmp_path_factory.mktemp("runs")
    plain = kit.file_bytes(cells, genes, sp.csr_matrix(counts), folder / "plain")
    order = rng.permutation(60)
    place = np.argsort(order)
    moved = cells.assign(row=place[cells["row"]]).sort_values("row").reset_index(drop=True)
    atlas = kit.memory_atlas(sp.csr_matrix(counts[order]), rows, lengths_known)
    other = kit.file_bytes(
        moved, genes, atlas, folder / "other", n_shards=n_shards, threads=threads
    )
    assert plain == other


def test_row_groups_are_cut_the_same_way_whatever_the_tasks(kit, world, tmp_path, monkeypatch):
    from targetscore.profile import merging, sums

    counts, cells, genes = world
    monkeypatch.setattr(merging, "_OUT_ROWS", 4)
    whole = kit.file_bytes(cells, genes, counts, tmp_path / "a")
    monkeypatch.setattr(sums, "_TASK", 1)
    monkeypatch.setattr(sums, "_PIECE", 1)
    assert kit.file_bytes(cells, genes, counts, tmp_path / "b", threads=2) == whole


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_order_of_genes_does_not_matter(kit, seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(0.3, 0.02, (40, 9))
    cells, genes = kit.cell_table(40, rng), kit.gene_table([f"G{i}" for i in range(9)])
    columns = rng.permutation(9)
    moved = genes.iloc[columns].reset_index(drop=True).assign(column=np.arange(9))
    folder = tmp_path_factory.mktemp("runs")
    first = kit.file_bytes(cells, genes, counts, folder / "a")
    assert kit.file_bytes(cells, moved, counts[:, columns], folder / "b") == first


def test_rejected_rows_do_not_count(kit, world, tmp_path):
    counts, cells, genes = world
    kept = cells[cells["row"] % 3 != 0]
    made = kit.tables(kept, genes, counts, tmp_path)
    kit.same_as_brute_force(counts[kept["row"]], kept, genes, *made)


def test_a_changed_file_is_noticed(kit, world, tmp_path):
    counts, cells, genes = world
    with pytest.raises(MatrixError, match="has 50 rows, 60 were ingested"):
        kit.tables(cells, genes, counts[:50], tmp_path)
    with pytest.raises(MatrixError, match="has 8 columns, 9 were ingested"):
        kit.tables(cells, genes, counts[:, :8], tmp_path)


def test_packs_of_other_labels_are_refused(kit, world, tmp_path):
    counts, cells, genes = world
    kit.profile(cells, genes, counts, tmp_path, n_shards=2)
    packs = [tmp_path / "1.pack", tmp_path / "2.pack"]
    with pytest.raises(ContractError, match="made with other cell labels"):
        profile_packs("tiny", [cells.assign(donor="X")], genes, packs)
    with pytest.raises(ContractError, match="hold 30 cells, 60 were ingested"):
        profile_packs("tiny", [cells], genes, packs[:1])
    with pytest.raises(ContractError, match="is not a pack"):
        profile_packs("tiny", [cells], genes, [tmp_path / "none.pack"])
    whole = packs[0].read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        packs[0].write_bytes(whole[:cut])
        with pytest.raises(ContractError, match="is not a pack"):
            profile_packs("tiny", [cells], genes, packs)


def test_group_numbers_do_not_depend_on_pieces(kit):
    cells = kit.cell_table(60, np.random.default_rng(1)).drop(index=[3, 59])
    whole, found, n_rows = number_groups([cells], 0, 60)
    pieces = [cells.iloc[:20].astype({"donor": "category"}), cells.iloc[20:]]
    again, part, _ = number_groups(pieces, 10, 50)
    assert n_rows == 59
    pd.testing.assert_frame_equal(whole, again)
    assert part.tolist() == found[10:50].tolist()
    assert found[[3, 59]].tolist() == [-1, -1]
    keys = list(whole[list(GROUP_KEY)].itertuples(index=False, name=None))
    assert keys == sorted(keys)
    of_cells = cells.set_index("row")[list(GROUP_KEY)]
    assert all(keys[found[row]] == tuple(key) for row, key in of_cells.iterrows())


def test_flagged_cells_are_groups_of_their_own_and_add_up(kit, world, tmp_path):
    counts, cells, genes = world
    calls = np.random.default_rng(2).choice([True, False, None], 60)
    scores = pd.DataFrame({"row": cells["row"], "flagged": calls})
    pieces = list(with_doublets([cells[:25], cells[25:]], scores, scores[:0]))
    words = {True: "yes", False: "no", None: "not_assessed"}
    assert [str(w) for p in pieces for w in p["doublet"]] == [words[c] for c in calls]
    whole, sums = kit.tables(cells, genes, counts, tmp_path / "a")
    split, parts = kit.tables(pd.concat(pieces), genes, counts, tmp_path / "b", n_shards=3)
    labels = [c for c in GROUP_KEY if c != "doublet"]
    assert set(split["doublet"]) == {"yes", "no", "not_assessed"}
    assert split.groupby(labels)["n_cells"].sum().tolist() == whole["n_cells"].tolist()
    of = split[labels].merge(whole[[*labels, "group_id"]], on=labels)["group_id"]
    pooled = parts.assign(group_id=of.to_numpy()[parts["group_id"]])
    pooled["gene_id"] = pooled["gene_id"].astype(str)
    pooled = pooled.groupby(["group_id", "gene_id"], as_index=False).sum()
    sums["gene_id"] = sums["gene_id"].astype(str)
    for column in sums:  # sums are whole numbers, or multiples of 2^-24: they add up exactly
        assert pooled[column].tolist() == sums[column].tolist(), column


def test_doublet_scores_of_other_cells_are_refused(kit, world):
    _, cells, _ = world
    scores = pd.DataFrame({"row": cells["row"] + 1, "flagged": False})
    with pytest.raises(ContractError, match="not those of the cells"):
        list(with_doublets([cells], scores, scores[:0]))
    with pytest.raises(ContractError, match="not those of the cells"):
        list(with_doublets([cells], scores[:0], scores[:0]))


def test_without_scores_nothing_is_assessed(kit, world):
    _, cells, _ = world
    groups, _, _ = number_groups([cells.drop(columns="doublet")], 0, 60)
    assert set(groups["doublet"]) == {"not_assessed"}


def test_an_atlas_without_cells(kit, tmp_path):
    cells = kit.cell_table(0, np.random.default_rng(0))
    groups, expression = kit.tables(cells, kit.gene_table(["A"]), np.zeros((0, 1)), tmp_path)
    assert len(groups) == len(expression) == 0


@pytest.mark.parametrize(
    ("x", "s", "q"), [(0, 5000, 0), (1, 8000, 0.25), (3, 4000, 0.875), (2, 1500, 1), (1, 2000, 1)]
)
def test_thinned_detection_by_hand(x, s, q):
    assert thinned_detection(x, s) == pytest.approx(q, abs=1e-12)


@given(size=st.integers(1, 10**7))
def test_histogram_bins_are_narrow(size):
    centre = bin_centres(library_bins(np.array([size])))[0]
    assert abs(np.log2(centre / size)) <= 1 / 16


@given(x=st.integers(0, 60), s=st.integers(61, 50_000))
def test_thinning_is_the_chance_that_one_count_survives(x, s):
    assert thinned_detection(x, s) == pytest.approx(binom.sf(0, x, min(1.0, 2000 / s)), abs=1e-12)


def test_against_scanpy(kit, world, tmp_path):
    """Counts and detections of scanpy's own aggregation, exactly; log sums to 1e-6."""
    counts, cells, genes = world
    plain = genes.assign(gene_id=[f"G{i}" for i in range(9)], masked=False)
    groups, expression = kit.tables(cells, plain, counts, tmp_path, n_shards=2, threads=2)
    data = ad.AnnData(sp.csr_matrix(counts.astype(np.float64)), obs=cells.set_index("cell"))
    data.var_names = plain["gene_id"]
    data.obs["group"] = data.obs["cell_type_id"] + "|" + data.obs["donor"]
    raw = sc.get.aggregate(data, by="group", func=["sum", "count_nonzero"])
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    logs = sc.get.aggregate(data, by="group", func="sum")
    found = kit.named(groups, expression)
    for column, table, rtol in (
        ("sum_counts", raw.to_df("sum"), 0),
        ("n_detected", raw.to_df("count_nonzero"), 0),
        ("sum_log1p_cp10k", logs.to_df("sum"), 1e-6),
    ):
        ours = found[column].unstack("gene_id").fillna(0)
        ours.index = ["|".join(key) for key in ours.index]
        np.testing.assert_allclose(
            ours.loc[table.index, table.columns], table, rtol=rtol, atol=60 / 2**24 * (rtol > 0)
        )


def test_packing_twice_gives_the_same_pack(kit, world, tmp_path):
    counts, cells, genes = world
    for name, threads in (("a", 1), ("b", 4)):
        atlas = kit.memory_atlas(counts * 50, 7)
        pack_rows(atlas, [cells], genes, tmp_path / name, threads=threads)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
