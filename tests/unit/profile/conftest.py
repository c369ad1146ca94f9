"""Atlases in memory, and the whole way from counts to a profile."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp

from targetscore.contracts import EXPRESSION, GROUPS
from targetscore.formats.base import Names, OpenAtlas, RowBlock, given
from targetscore.io import write_table, write_tables
from targetscore.profile.merging import Profile, profile_packs
from targetscore.profile.packing import pack_rows


def memory_atlas(
    matrix: sp.csr_matrix, rows: int | None = None, lengths_known: bool = True
) -> OpenAtlas:
    """An atlas that gives ``rows`` rows at a time; row lengths known before, or as in text."""
    matrix = sp.csr_matrix(matrix)
    step = rows or max(matrix.shape[0], 1)

    def blocks(start: int, stop: int) -> Iterator[RowBlock]:
        for a in range(start, stop, step):
            b = min(a + step, stop)
            low, high = matrix.indptr[a], matrix.indptr[b]
            pointer = (matrix.indptr[a : b + 1] - low).astype(np.int64)
            loaded = (matrix.indices[low:high], matrix.data[low:high])
            yield RowBlock(a, pointer, 0, partial(given, loaded))

    def row_lengths(start: int, stop: int) -> np.ndarray:
        return np.diff(matrix.indptr[start : stop + 1]).astype(np.int64)

    return OpenAtlas(
        location="memory",
        counts="X",
        shape=matrix.shape,
        read_names=lambda: Names(pd.DataFrame(), [], []),
        rows=blocks,
        peek=lambda: None,
        row_lengths=row_lengths if lengths_known else None,
    )


def profile(
    cells: pd.DataFrame,
    genes: pd.DataFrame,
    atlas: OpenAtlas | sp.csr_matrix,
    folder: Path,
    n_shards: int = 1,
    threads: int = 1,
) -> Profile:
    """Pack every shard and add them up."""
    folder.mkdir(parents=True, exist_ok=True)
    opened = atlas if isinstance(atlas, OpenAtlas) else memory_atlas(atlas)
    paths = [folder / f"{shard}.pack" for shard in range(1, n_shards + 1)]
    for shard, path in enumerate(paths, 1):
        pack_rows(opened, [cells], genes, path, shard=shard, n_shards=n_shards, threads=threads)
    return profile_packs("tiny", [cells], genes, paths, threads)


def tables(*args, **kwargs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The groups and the expression of a profile, as data frames."""
    made = profile(*args, **kwargs)
    return made.groups, pa.concat_tables(list(made.expression)).to_pandas()


def file_bytes(cells, genes, atlas, folder: Path, **kwargs) -> tuple[bytes, bytes]:
    """The bytes of the two files of a profile."""
    made = profile(cells, genes, atlas, folder, **kwargs)
    write_table(made.groups, folder / "groups.parquet", GROUPS, {})
    write_tables(made.expression, folder / "expression.parquet", EXPRESSION, {})
    return (folder / "groups.parquet").read_bytes(), (folder / "expression.parquet").read_bytes()


def cell_table(n: int, rng: np.random.Generator) -> pd.DataFrame:
    kinds = rng.choice(["plasma cell", "T cell", "B cell"], n)
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "cell": [f"c{i}" for i in range(n)],
            "donor": rng.choice(["D1", "D2"], n),
            "sample": "S",
            "tissue_id": "UBERON:0002371",
            "tissue": "bone marrow",
            "cell_type_id": kinds,
            "cell_type": kinds,
            "assay": "10x",
            "suspension": "cell",
            "disease": "normal",
            "population": "healthy",
            "author_cell_type": kinds,
            "doublet": "no",
        }
    )


def gene_table(ids: list[str], masked: list[bool] | None = None) -> pd.DataFrame:
    flags = masked or [False] * len(ids)
    return pd.DataFrame({"column": np.arange(len(ids)), "gene_id": ids, "masked": flags})


def brute_force(counts, cells, genes) -> pd.DataFrame:
    """The definitions of C0 and C1, cell by cell and gene by gene, without any sharing."""
    names = sorted(set(genes["gene_id"]))
    dense = {g: counts[:, (genes["gene_id"] == g).to_numpy()].sum(axis=1) for g in names}
    masked = {g for g, m in zip(genes["gene_id"], genes["masked"], strict=True) if m}
    rows: dict[tuple, list[float]] = {}
    for i, cell in enumerate(cells.to_dict("records")):
        size = sum(int(dense[g][i]) for g in names if g not in masked)
        for g in names:
            x = int(dense[g][i])
            if x == 0:
                continue
            q = 1 - (1 - 2000 / size) ** x if size > 2000 else 1.0
            log = np.log1p(x * 1e4 / max(size, 1))
            key = (cell["cell_type_id"], cell["donor"], g)
            sums_ = rows.setdefault(key, [0, 0, 0, 0, 0])
            for k, value in enumerate((1, q, x, log, log * log)):
                sums_[k] += value
    columns = ["n_detected", "thinned_detected", "sum_counts"]
    columns += ["sum_log1p_cp10k", "sumsq_log1p_cp10k"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    table.index = pd.MultiIndex.from_tuples(table.index, names=["cell_type_id", "donor", "gene_id"])
    return table.sort_index()


def named(groups: pd.DataFrame, expression: pd.DataFrame) -> pd.DataFrame:
    joined = expression.merge(groups[["group_id", "cell_type_id", "donor"]], on="group_id")
    joined["gene_id"] = joined["gene_id"].astype(str)
    keys = ["cell_type_id", "donor", "gene_id"]
    return joined.set_index(keys).drop(columns="group_id").sort_index()


def same_as_brute_force(counts, cells, genes, groups, expression) -> None:
    expected, found = brute_force(counts, cells, genes), named(groups, expression)
    assert found.index.equals(expected.index)
    for column in ("n_detected", "sum_counts"):
        assert found[column].tolist() == expected[column].tolist()
    for column in ("thinned_detected", "sum_log1p_cp10k", "sumsq_log1p_cp10k"):
        # one cell is off by at most half a unit of 2^-24
        np.testing.assert_allclose(
            found[column], expected[column], rtol=1e-6, atol=len(cells) / 2**24
        )


class Kit:
    """What the tests of this folder share, as one fixture."""

    memory_atlas = staticmethod(memory_atlas)
    profile = staticmethod(profile)
    tables = staticmethod(tables)
    file_bytes = staticmethod(file_bytes)
    cell_table = staticmethod(cell_table)
    gene_table = staticmethod(gene_table)
    named = staticmethod(named)
    same_as_brute_force = staticmethod(same_as_brute_force)


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit


@pytest.fixture
def world() -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Sixty cells with an empty one, a deep one, a gene in two columns and a masked gene."""
    rng = np.random.default_rng(5)
    counts = rng.negative_binomial(0.3, 0.02, (60, 9))
    counts[7] = 0
    counts[8, :] = [9000, 0, 0, 0, 0, 0, 0, 0, 0]
    ids = ["G0", "G1", "G2", "G3", "G3", "G5", "G6", "G7", "IG"]
    return counts, cell_table(60, rng), gene_table(ids, [False] * 8 + [True])
