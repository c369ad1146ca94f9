"""HDF5 atlases stored in every way, read both by blocks and through the profile."""

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp

from targetscore.errors import AtlasError
from targetscore.formats import OpenAtlas, open_atlas
from targetscore.profile.merging import profile_packs
from targetscore.profile.packing import pack_rows


def by_blocks(atlas: OpenAtlas) -> np.ndarray:
    blocks = list(atlas.blocks())
    starts = np.cumsum([0] + [b.shape[0] for _, b in blocks])[:-1]
    assert [s for s, _ in blocks] == starts.tolist()
    empty = np.zeros((0, len(atlas.gene_ids)), dtype=np.int64)
    return np.vstack([empty, *(b.toarray() for _, b in blocks)])


def by_profile(atlas: OpenAtlas, folder: Path, n_shards: int = 1, threads: int = 2) -> np.ndarray:
    """The matrix again, from a profile in which each cell is a group of its own."""
    n_cells, n_genes = atlas.shape[0], len(atlas.gene_ids)
    labels = {
        "donor": [f"c{i:06d}" for i in range(n_cells)],
        "cell_type_id": "CL:0000084",
        "cell_type": "T cell",
        "tissue_id": "UBERON:0002371",
        "tissue": "bone marrow",
        "sample": "S",
        "assay": "10x",
        "suspension": "cell",
        "disease": "normal",
        "population": "healthy",
    }
    cells = pd.DataFrame({"row": np.arange(n_cells), **labels})
    ids = [f"g{i:06d}" for i in range(n_genes)]
    genes = pd.DataFrame({"column": np.arange(n_genes), "gene_id": ids, "masked": False})
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{k}.pack" for k in range(1, n_shards + 1)]
    for shard, path in enumerate(paths, 1):
        pack_rows(atlas, [cells], genes, path, shard=shard, n_shards=n_shards, threads=threads)
    made = profile_packs("tiny", [cells], genes, paths, threads)
    table = pa.concat_tables(list(made.expression)).to_pandas()
    assert (table["n_detected"] == 1).all()
    dense = np.zeros((n_cells, n_genes), dtype=np.int64)
    dense[table["group_id"], table["gene_id"].str[1:].astype(int)] = table["sum_counts"]
    assert made.groups["total_counts"].tolist() == dense.sum(axis=1).tolist()
    return dense


class Reader:
    """Opens an atlas and reads it both ways."""

    def __init__(self, row: Callable, folder: Path) -> None:
        self._row, self._folder = row, folder

    def open(self, path: Path, **fields: str) -> OpenAtlas:
        return open_atlas(self._row(**fields), str(path))

    def same(self, path: Path, expected: np.ndarray, n_shards: int = 1, **fields: str) -> OpenAtlas:
        """Both ways give the expected counts."""
        atlas = self.open(path, **fields)
        atlas.peek()
        assert np.array_equal(by_blocks(atlas), expected)
        assert np.array_equal(by_profile(atlas, self._folder / "packs", n_shards), expected)
        return atlas

    def refused(self, path: Path, says: str, place: str | None, **fields: str) -> AtlasError:
        """Both ways end in an error that names file, place and remedy, and leave nothing."""
        folder = self._folder / "refused"
        for way in (by_blocks, lambda atlas: by_profile(atlas, folder)):
            with pytest.raises(AtlasError, match=says) as caught:
                way(self.open(path, **fields))
            problem = caught.value.problems[0]
            assert problem.file == str(path)
            assert problem.remedy
            assert place is None or problem.place.startswith(place)
        assert not folder.exists() or list(folder.iterdir()) == []
        return caught.value


@pytest.fixture
def reader(atlas_row: Callable, tmp_path: Path) -> Reader:
    return Reader(atlas_row, tmp_path)


@pytest.fixture(scope="session")
def many_counts() -> sp.csr_matrix:
    """Forty cells, one of them empty and one deep, with counts beyond a byte."""
    dense = np.random.default_rng(4).negative_binomial(0.4, 0.05, (40, 30))
    dense[5] = 0
    dense[6] = 300
    return sp.csr_matrix(dense)


class Writer:
    """Writes an h5ad file as anndata does, and then stores parts of a matrix in another way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, matrix: object, place: str = "X", name: str = "a.h5ad", **how) -> Path:
        path = self._folder / name
        n_cells, n_genes = matrix.shape
        obs = pd.DataFrame({"donor_id": "D"}, index=[f"cell{i}" for i in range(n_cells)])
        var = pd.DataFrame(index=[f"ENSG{i:011d}" for i in range(n_genes)])
        data = ad.AnnData(obs=obs, var=var)
        if place == "raw/X":
            data.raw = ad.AnnData(matrix, obs=obs, var=var)
        elif place == "X":
            data.X = matrix
        else:
            data.layers[place.removeprefix("layers/")] = matrix
        data.write_h5ad(path)
        store(path, place, **how)
        return path


def store(path: Path, place: str, libver: str | None = None, parts=None, **how) -> None:
    """Store a dense matrix, or the named parts of a sparse one, again."""
    with h5py.File(path, "r+", libver=libver) as file:
        dense = isinstance(file[place], h5py.Dataset)
        names = [place] if dense else [f"{place}/{n}" for n in parts or ("data", "indices")]
        for name in names:
            values, attributes = file[name][()], dict(file[name].attrs)
            options = {k: v(values) if callable(v) else v for k, v in how.items()}
            dtype = options.pop("dtype", values.dtype)
            del file[name]
            made = file.create_dataset(name, data=values.astype(dtype), **options)
            made.attrs.update(attributes)


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


class Damage:
    """Changes a file behind the library's back."""

    @staticmethod
    def chunk(path: Path, name: str, change: Callable[[bytes], bytes], number: int = 0) -> None:
        """Replace the stored bytes of a chunk."""
        with h5py.File(path, "r+") as file:
            dataset = file[name]
            place = dataset.id.get_chunk_info(number).chunk_offset
            mask, raw = dataset.id.read_direct_chunk(place)
            dataset.id.write_direct_chunk(place, change(raw), mask)

    @staticmethod
    def values(path: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Write a dataset with other values, or other in number."""
        with h5py.File(path, "r+") as file:
            changed = change(file[name][()])
            del file[name]
            file[name] = changed


@pytest.fixture(scope="session")
def damage() -> type[Damage]:
    return Damage


@pytest.fixture(scope="session")
def store_again() -> Callable[..., None]:
    return store
