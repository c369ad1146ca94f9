"""However an h5ad file lays its matrix out, the counts are those that anndata reads."""

from functools import partial
from pathlib import Path

import anndata as ad
import h5py
import hdf5plugin
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from targetscore.errors import StorageError
from targetscore.formats import base, turn

SMALL = [1, 7, 50, 2_000_000]


def dense_of(path) -> np.ndarray:
    matrix = ad.read_h5ad(path).X
    return np.asarray(matrix.todense() if sp.issparse(matrix) else matrix).astype(np.int64)


@pytest.mark.parametrize("limit", SMALL)
@pytest.mark.parametrize("how", [{}, {"compression": "gzip", "chunks": (16,)}], ids=["", "gzip"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.uint16])
def test_gene_by_gene(write, reader, many_counts, limit, how, dtype, monkeypatch):
    """Bands of rows and pieces of columns are cut anywhere, also inside a column."""
    monkeypatch.setattr(base, "BLOCK_VALUES", limit)
    path = write(sp.csc_matrix(many_counts.astype(dtype)), **how)
    atlas = reader.same(path, dense_of(path))
    assert np.array_equal(dense_of(path), many_counts.toarray())
    assert atlas.row_lengths is None
    blocks = list(atlas.rows(0, 40))
    assert all(len(b.indptr) == 2 or b.indptr[-1] <= limit for b in blocks)
    columns = np.concatenate([b.load()[0] for b in blocks])  # ascending, which is read faster
    assert np.array_equal(columns, many_counts.indices)


def test_gene_by_gene_in_bounded_pieces(write, reader, many_counts, monkeypatch):
    """A gene in every cell made one piece of the whole column, however long."""
    monkeypatch.setattr(base, "BLOCK_VALUES", 25)
    sizes = []
    scatter = turn._scatter

    def noted(file, entries, *rest):
        sizes.append(len(entries))
        scatter(file, entries, *rest)

    monkeypatch.setattr(turn, "_scatter", noted)
    path = write(sp.csc_matrix(many_counts.astype(np.float32)))
    reader.same(path, many_counts.toarray())
    assert max(sizes) <= 25


def test_gene_by_gene_without_room(write, reader, many_counts, monkeypatch):
    path = write(sp.csc_matrix(many_counts.astype(np.float32)))
    atlas = reader.open(path)
    monkeypatch.setattr(turn.shutil, "disk_usage", lambda _: turn.shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(StorageError, match="0.0 GB are free.*\n.*TMPDIR"):
        list(atlas.rows(0, 40))
    monkeypatch.undo()
    full = partial(Path("/dev/full").write_bytes, b"x")
    monkeypatch.setattr(turn, "_scatter", lambda *_: full())
    with pytest.raises(StorageError, match="No space left on device"):
        list(reader.open(path).rows(0, 40))


@pytest.mark.parametrize("limit", SMALL)
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunks": (3, 4), "compression": "gzip"},
        {"chunks": (40, 1), "compression": "gzip", "shuffle": True},
        {"chunks": (1, 30), "compression": "lzf"},
        {"chunks": (60, 50), "maxshape": (None, None), **hdf5plugin.Zstd()},
        {"chunks": (7, 11)},
        {"chunks": (7, 11), **hdf5plugin.Blosc()},
    ],
    ids=["contiguous", "tiles", "columns", "rows", "larger", "plain", "blosc"],
)
def test_dense(write, reader, many_counts, limit, how, monkeypatch):
    monkeypatch.setattr(base, "BLOCK_VALUES", limit)
    path = write(many_counts.toarray().astype(np.float32), **how)
    reader.same(path, dense_of(path))
    assert np.array_equal(dense_of(path), many_counts.toarray())


@pytest.mark.parametrize("dtype", ["<i4", "<u2", "<f8", ">f4", ">i8"])
@pytest.mark.parametrize("how", [{}, {"chunks": (3, 4), "compression": "gzip"}], ids=["", "gzip"])
def test_dense_number_types(write, reader, many_counts, dtype, how):
    path = write(many_counts.toarray(), dtype=dtype, **how)
    reader.same(path, many_counts.toarray())


def shuffled(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """The same matrix, the columns of each row in any order."""
    rng = np.random.default_rng(2)
    starts = zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    order = np.concatenate([a + rng.permutation(b - a) for a, b in starts])
    parts = (matrix.data[order], matrix.indices[order], matrix.indptr)
    return sp.csr_matrix(parts, shape=matrix.shape)


def halved(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """The same matrix, each count in two entries of its column."""
    half = matrix.data // 2
    data = np.ravel(np.column_stack([half, matrix.data - half]))
    return sp.csr_matrix((data, np.repeat(matrix.indices, 2), matrix.indptr * 2), matrix.shape)


@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("change", [shuffled, halved, lambda m: shuffled(halved(m))])
def test_unsorted_and_repeated_indices(write, reader, many_counts, change, layout, monkeypatch):
    monkeypatch.setattr(base, "BLOCK_VALUES", 37)
    basis = many_counts.astype(np.float32)  # now, since it adds repeated entries up
    changed = change(basis)
    if layout is sp.csc_matrix:
        turned = change(sp.csr_matrix(basis.T))
        changed = sp.csc_matrix((turned.data, turned.indices, turned.indptr), basis.shape)
    path = write(changed, compression="gzip", chunks=(50,))
    with h5py.File(path) as file:
        assert np.array_equal(file["X/indices"][:], changed.indices)
    reader.same(path, dense_of(path))
    assert np.array_equal(dense_of(path), many_counts.toarray())


@pytest.mark.parametrize("how", [{}, {"compression": "gzip", "chunks": True}], ids=["", "gzip"])
@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix, sp.csr_matrix.toarray])
@pytest.mark.parametrize(
    "dense",
    [
        np.zeros((0, 5)),
        np.zeros((4, 5)),
        np.zeros((1, 1)),
        np.array([[0, 7]]),
        np.array([[0, 0], [3, 0], [0, 0], [0, 0]]),
    ],
    ids=["no_cells", "no_values", "empty_cell", "one_cell", "empty_cells_around"],
)
def test_little_or_nothing(write, reader, dense, layout, how):
    matrix = layout(sp.csr_matrix(dense.astype(np.float32)))
    resizable = how | {"maxshape": (None,) * (1 if sp.issparse(matrix) else 2)} if how else {}
    path = write(matrix, **resizable)
    assert dense_of(path).shape == dense.shape
    reader.same(path, dense)


def test_explicit_zeros(write, reader):
    matrix = sp.csr_matrix((np.array([0, 3, 0, 2]), [0, 1, 1, 0], [0, 2, 4]), shape=(2, 2))
    reader.same(write(matrix.astype(np.float32)), np.array([[0, 3], [2, 0]]))


def test_a_null_matrix_is_passed_over(write, reader, many_counts):
    path = write(many_counts, "layers/umi")
    with h5py.File(path, "r+") as file:
        file["X"] = h5py.Empty("f4")
        file["X"].attrs.update({"encoding-type": "null", "encoding-version": "0.1.0"})
    assert reader.same(path, many_counts.toarray()).counts == "layers/umi"


@st.composite
def stored_matrices(draw):
    shape = draw(st.tuples(st.integers(0, 9), st.integers(1, 9)))
    cells = st.integers(0, 2**20) | st.just(0)
    size = shape[0] * shape[1]
    values = draw(st.lists(cells, min_size=size, max_size=size))
    dense = np.array(values, dtype=np.int64).reshape(shape)
    layout = draw(st.sampled_from([sp.csr_matrix, sp.csc_matrix, sp.csr_matrix.toarray]))
    n_dimensions = 2 if layout is sp.csr_matrix.toarray else 1
    length = st.integers(1, 12)
    how = {
        "compression": draw(st.sampled_from([None, "gzip", "lzf"])),
        "shuffle": draw(st.booleans()),
        "fletcher32": draw(st.booleans()),
        "chunks": draw(st.tuples(*[length] * n_dimensions)),
        "maxshape": (None,) * n_dimensions,
        "dtype": draw(st.sampled_from(["<i4", "<f4", ">f8", "<u4"])),
    }
    return dense, layout, how


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stored_matrices(), st.integers(1, 40), st.integers(1, 3))
def test_any_matrix(write, reader, stored, limit, n_shards):
    dense, layout, how = stored
    dtype = how.pop("dtype")
    matrix = layout(sp.csr_matrix(dense))
    path = write(matrix, parts=["indices"], **how)
    if sp.issparse(matrix):
        with h5py.File(path, "r+") as file:
            del file["X/data"]
            file["X"].create_dataset("data", data=matrix.data.astype(dtype), **how)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "BLOCK_VALUES", limit)
        reader.same(path, dense, n_shards=n_shards)
