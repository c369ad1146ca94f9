"""Loom files, written by the published specification (versions 3.0.0 and 2.0.1)."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from targetscore.errors import AtlasError, MatrixError
from targetscore.formats import base, open_atlas

TEXT = h5py.string_dtype("utf-8")


class LoomWriter:
    """Writes loom files; keyword arguments replace parts."""

    def __init__(self, folder: Path, obs: pd.DataFrame) -> None:
        self._folder, self._obs = folder, obs

    def __call__(
        self,
        counts: np.ndarray,
        name: str = "a.loom",
        chunks: tuple[int, int] = (64, 64),
        layers: dict[str, np.ndarray] | None = None,
        dtype: str = "float32",
        col: dict[str, object] | None = None,
        row: dict[str, object] | None = None,
    ) -> Path:
        n_cells, n_genes = counts.shape
        obs = self._obs.iloc[np.arange(n_cells) % len(self._obs)]
        columns = {c: obs[c].fillna("").to_numpy(object) for c in obs}
        columns |= {"CellID": np.array([f"cell{i}" for i in range(n_cells)], object)}
        columns |= {"Embedding": np.zeros((n_cells, 2))} | (col or {})
        rows = {
            "Gene": np.array([f"G{i}" for i in range(n_genes)], object),
            "Accession": np.array([f"ENSG{i:011d}" for i in range(n_genes)], object),
        }
        path = self._folder / name
        with h5py.File(path, "w") as file:
            group = file.create_group("attrs")
            group.create_dataset("LOOM_SPEC_VERSION", data="3.0.0", dtype=TEXT)
            file.create_group("layers")
            file.create_group("col_graphs")
            file.create_group("row_graphs")
            for place, matrix in {"matrix": counts, **(layers or {})}.items():
                kept = tuple(min(c, n) for c, n in zip(chunks, matrix.T.shape, strict=True))
                file.create_dataset(
                    place,
                    data=matrix.T.astype(dtype),
                    maxshape=(n_genes, None),
                    chunks=kept,
                    compression="gzip",
                    compression_opts=2,
                )
            for place, values in (("col_attrs", columns), ("row_attrs", rows | (row or {}))):
                made = file.create_group(place)
                for key, array in values.items():
                    if array is None:
                        continue
                    text = np.asarray(array).dtype.kind == "O"
                    made.create_dataset(key, data=array, dtype=TEXT if text else None)
        return path


@pytest.fixture
def write_loom(tmp_path: Path, obs: pd.DataFrame) -> LoomWriter:
    return LoomWriter(tmp_path, obs)


@pytest.mark.parametrize("dtype", ["float32", "uint16", "int64", ">f4"])
@pytest.mark.parametrize("chunks", [(64, 64), (3, 5), (1, 1), (7, 40)])
def test_loom_as_written(write_loom, reader, many_counts, chunks, dtype):
    dense = many_counts.toarray()
    path = write_loom(dense, chunks=chunks, dtype=dtype)
    atlas = reader.same(path, dense, format="loom")
    assert atlas.counts == "matrix"
    assert atlas.cells["cell"].tolist()[:2] == ["cell0", "cell1"]
    assert atlas.cells["donor_id"].iloc[0] == "P1"
    assert "Embedding" not in atlas.cells
    assert atlas.gene_ids[:2] == ["ENSG00000000000", "ENSG00000000001"]
    assert atlas.gene_symbols[:2] == ["G0", "G1"]


@pytest.mark.parametrize("limit", [1, 37, 200, 10_000])
@pytest.mark.parametrize("n_shards", [1, 3])
def test_loom_in_small_blocks_and_shards(
    write_loom, reader, many_counts, limit, n_shards, monkeypatch
):
    monkeypatch.setattr(base, "BLOCK_VALUES", limit)
    dense = many_counts.toarray()
    reader.same(write_loom(dense, chunks=(8, 6)), dense, n_shards, format="loom")


def test_a_layer_is_found_or_named(write_loom, atlas_row, counts):
    logs = np.log1p(counts)
    path = write_loom(logs, layers={"layers/spliced": counts, "layers/other": counts + 1})
    found = open_atlas(atlas_row(format="loom"), str(path))
    assert found.counts == "layers/other"
    named = open_atlas(atlas_row(format="loom", counts="layers/spliced"), str(path))
    assert np.array_equal(next(named.blocks())[1].toarray(), counts)
    with pytest.raises(AtlasError, match="did you mean 'layers/spliced'"):
        open_atlas(atlas_row(format="loom", counts="layers/splice"), str(path))


def test_text_of_version_2_is_ascii_with_entities(write_loom, atlas_row, counts):
    cells = np.array([f"cell&#233;{i}" for i in range(len(counts))], dtype="S20")
    path = write_loom(counts, col={"CellID": cells})
    assert open_atlas(atlas_row(format="loom"), str(path)).cells["cell"].iloc[0] == "cellé0"


def test_named_columns_of_genes(write_loom, atlas_row, counts):
    ids = np.array([f"ENSG{i:011d}.3" for i in range(counts.shape[1])], object)
    path = write_loom(counts, row={"Accession": None, "versioned": ids})
    by_symbol = open_atlas(atlas_row(format="loom"), str(path))
    assert by_symbol.gene_ids[0] == "G0"
    by_id = open_atlas(atlas_row(format="loom", gene_id="versioned"), str(path))
    assert by_id.gene_ids[0] == "ENSG00000000000.3"
    with pytest.raises(AtlasError, match="did you mean 'versioned'"):
        _ = open_atlas(atlas_row(format="loom", gene_id="version"), str(path)).gene_ids


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: np.log1p(d), "log-normalised"),
        (lambda d: d - 1.0, "negative"),
        (lambda d: d + 0.5, "not whole numbers"),
        (lambda d: np.where(d == 0, np.nan, d), "not finite"),
    ],
)
def test_values_that_are_no_counts(write_loom, reader, counts, change, says):
    path = write_loom(change(counts))
    with pytest.raises(MatrixError, match=says):
        open_atlas(reader._row(format="loom"), str(path))
    reader.refused(path, says, "matrix", format="loom", counts="matrix")


def test_swapped_axes_are_refused(write_loom, atlas_row, counts):
    path = write_loom(counts)
    with h5py.File(path, "r+") as file:
        file.move("row_attrs", "kept")
        file.move("col_attrs", "row_attrs")
        file.move("kept", "col_attrs")
        matrix = file["matrix"][:]
        del file["matrix"]
        file.create_dataset("matrix", data=matrix.T, chunks=(4, 4))
    with pytest.raises(AtlasError, match="rows are cells and its columns genes.*\n.*transposed"):
        _ = open_atlas(atlas_row(format="loom"), str(path)).cells


def _longer(file: h5py.File) -> None:
    values = file["col_attrs/donor_id"][:]
    del file["col_attrs/donor_id"]
    file.create_dataset("col_attrs/donor_id", data=[*values, b"more"], dtype=TEXT)


def _unnamed(file: h5py.File) -> None:
    del file["col_attrs/CellID"]


def _not_loom(file: h5py.File) -> None:
    del file["row_attrs"]


def _other_shape(file: h5py.File) -> None:
    file.create_dataset("layers/half", data=np.ones((3, 3)), chunks=(3, 3))


@pytest.mark.parametrize(
    ("damage", "says", "fields"),
    [
        (_longer, "holds 13 values, the matrix has 12", {}),
        (_unnamed, "names no cells.*\n.*CellID", {}),
        (_not_loom, "no loom file .it has no row_attrs", {}),
        (_other_shape, "/matrix is another shape", {"counts": "layers/half"}),
    ],
)
def test_parts_that_do_not_fit(write_loom, atlas_row, counts, damage, says, fields):
    path = write_loom(counts)
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(AtlasError, match=says):
        _ = open_atlas(atlas_row(format="loom", **fields), str(path)).cells


def test_a_piece_never_written_is_no_zero(write_loom, reader, counts):
    path = write_loom(counts)
    with h5py.File(path, "r+") as file:
        shape = file["matrix"].shape
        del file["matrix"]
        made = file.create_dataset("matrix", shape, "f4", chunks=(4, 4), compression="gzip")
        made[:4] = 1
    reader.refused(path, "never written", None, format="loom")


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_loom_file_cut_anywhere_is_refused(write_loom, atlas_row, counts, share):
    path = write_loom(counts, name="cut.loom")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(AtlasError, match="truncated or not HDF5"):
        open_atlas(atlas_row(format="loom"), str(path))


def test_memory_does_not_grow_with_cells(write_loom, atlas_row):
    """Four times the cells, the same peak: the matrix is never held as a whole."""
    import tracemalloc

    def peak(n_cells: int) -> int:
        dense = np.zeros((n_cells, 2000), dtype=np.uint16)
        dense[:, ::20] = 1
        atlas = open_atlas(atlas_row(format="loom"), str(write_loom(dense, dtype="uint16")))
        tracemalloc.start()
        n_read = sum(len(b.indptr) - 1 for b in atlas.rows(0, n_cells))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert n_read == n_cells
        return most

    peak(100)
    assert peak(8000) < 1.3 * peak(2000)
