"""Detection bits and counts of single genes, against the dense matrix."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from targetscore import detections
from targetscore.contracts import PANEL
from targetscore.detections import detection_bits, gene_counts
from targetscore.io import read_table, write_tables
from targetscore.packs import open_pack
from targetscore.profile.groups import number_groups
from targetscore.profile.merging import panel_of_packs
from targetscore.profile.packing import pack_rows


def packed(kit, counts, cells, genes, folder, n_shards=1):
    atlas = kit.memory_atlas(sp.csr_matrix(counts))
    paths = [folder / f"{shard}.pack" for shard in range(1, n_shards + 1)]
    for shard, path in enumerate(paths, 1):
        pack_rows(atlas, [cells], genes, path, shard=shard, n_shards=n_shards)
    return paths


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    n_shards=st.integers(1, 5),
    threads=st.integers(1, 3),
    wanted=st.permutations(range(9)).map(lambda genes: genes[:4]),
)
def test_bits_say_who_was_detected(kit, seed, n_shards, threads, wanted, tmp_path_factory):
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(0.3, 0.02, (300, 9))
    cells, genes = kit.cell_table(300, rng), kit.gene_table([f"G{i}" for i in range(9)])
    paths = packed(kit, counts, cells, genes, tmp_path_factory.mktemp("packs"), n_shards)
    _, group_of_row, _ = number_groups([cells], 0, 300)
    found = list(detection_bits([open_pack(p) for p in paths], wanted, threads))
    assert [g.group for g in found] == list(range(group_of_row.max() + 1))
    for group in found:
        rows = np.flatnonzero(group_of_row == group.group)
        assert group.n_cells == len(rows)
        unpacked = np.unpackbits(group.bits.view(np.uint8), axis=1, bitorder="little")
        assert unpacked[:, : len(rows)].tolist() == (counts[rows][:, wanted] > 0).T.tolist()
        assert not unpacked[:, len(rows) :].any()


def test_pair_counts_from_bits_equal_the_dense_ones(kit, world, tmp_path):
    counts, cells, genes = world
    genes = genes.assign(gene_id=[f"G{i}" for i in range(9)])
    paths = packed(kit, counts, cells, genes, tmp_path)
    _, group_of_row, _ = number_groups([cells], 0, 60)
    for group in detection_bits([open_pack(p) for p in paths], [0, 5]):
        own = counts[group_of_row == group.group] > 0
        both = int(np.bitwise_count(group.bits[0] & group.bits[1]).sum())
        assert both == int((own[:, 0] & own[:, 5]).sum())


@pytest.mark.parametrize("entries", [1, 10_000])
@pytest.mark.parametrize("n_shards", [1, 3])
def test_counts_of_single_genes(kit, entries, n_shards, tmp_path, monkeypatch):
    monkeypatch.setattr(detections, "_ENTRIES", entries)
    rng = np.random.default_rng(2)
    counts = rng.negative_binomial(0.3, 0.005, (80, 9))
    cells = kit.cell_table(80, rng).drop(index=5)
    genes = kit.gene_table([f"G{i}" for i in range(9)], [False] * 8 + [True])
    assert (counts > 255).any()
    paths = packed(kit, counts, cells, genes, tmp_path, n_shards)
    parts = list(gene_counts([open_pack(p) for p in paths], [7, 1]))
    assert len(parts) == (2 if entries == 1 else 1)
    _, group_of_row, _ = number_groups([cells], 0, 80)
    expected = [
        (position, group_of_row[row], row, counts[row, gene], counts[row, :8].sum())
        for position, gene in enumerate((7, 1))
        for row in np.lexsort((np.arange(80), group_of_row))
        if counts[row, gene] and row != 5
    ]
    columns = ("gene", "group", "row", "count", "library")
    found = [np.concatenate([getattr(part, c) for part in parts]).tolist() for c in columns]
    assert list(zip(*found, strict=True)) == expected


def test_the_panel_keeps_its_contract(kit, world, tmp_path):
    counts, cells, genes = world
    paths = packed(kit, counts, cells, genes, tmp_path, 2)
    tables = panel_of_packs([cells], genes, paths, {"G3", "G7", "not measured"})
    write_tables(tables, tmp_path / "panel.parquet", PANEL, {})
    panel = read_table(tmp_path / "panel.parquet", PANEL)
    summed = pd.DataFrame(
        {"G3": counts[:, 3] + counts[:, 4], "G7": counts[:, 7]}, index=cells["row"]
    )
    wide = panel.pivot(index="row", columns="gene_id", values="count").fillna(0).astype(int)
    wide = wide.reindex(summed.index, fill_value=0)
    assert wide["G3"].tolist() == summed["G3"].tolist()
    assert wide["G7"].tolist() == summed["G7"].tolist()


def test_a_panel_of_genes_that_are_not_measured_is_empty(kit, world, tmp_path):
    counts, cells, genes = world
    paths = packed(kit, counts, cells, genes, tmp_path)
    tables = list(panel_of_packs([cells], genes, paths, {"nothing"}))
    assert pa.concat_tables(tables).num_rows == 0
