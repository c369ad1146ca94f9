"""However an h5ad file stores its numbers, the counts are those that anndata reads."""

import subprocess
import sys

import anndata as ad
import h5py
import hdf5plugin
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from targetscore.formats import base, filters

GZIP = {"compression": "gzip", "compression_opts": 4}
COMPRESSIONS = {
    "gzip": GZIP,
    "gzip_shuffle": GZIP | {"shuffle": True},
    "gzip_fletcher32": GZIP | {"fletcher32": True},
    "gzip_shuffle_fletcher32": GZIP | {"shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf"},
    "lzf_shuffle_fletcher32": {"compression": "lzf", "shuffle": True, "fletcher32": True},
    "zstd": dict(hdf5plugin.Zstd()),
    "zstd_shuffle": dict(hdf5plugin.Zstd()) | {"shuffle": True},
    "fletcher32": {"fletcher32": True},
    "shuffle": {"shuffle": True},
    "none": {},
    "blosc": dict(hdf5plugin.Blosc()),
    "bitshuffle": dict(hdf5plugin.Bitshuffle()),
    "scaleoffset": {"scaleoffset": 0, "dtype": "<i4"},
}
DIRECT = set(COMPRESSIONS) - {"blosc", "bitshuffle", "scaleoffset"}
CHUNKS = {
    "one_value": lambda v: (1,),
    "cuts_rows": lambda v: (7,),
    "some_rows": lambda v: (100,),
    "just_all": lambda v: v.shape,
    "longer_than_data": lambda v: (len(v) + 1000,),
}


def read_by_anndata(path, place: str = "X") -> np.ndarray:
    data = ad.read_h5ad(path)
    matrix = data.raw.X if place == "raw/X" else data.X if place == "X" else None
    matrix = data.layers[place.removeprefix("layers/")] if matrix is None else matrix
    return np.asarray(matrix.todense() if sp.issparse(matrix) else matrix).astype(np.int64)


@pytest.fixture(params=[37, 2_000_000], ids=["small_blocks", "one_block"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(base, "BLOCK_VALUES", request.param)


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_compressions_and_chunk_sizes(
    write, reader, many_counts, compression, chunks, monkeypatch, request
):
    monkeypatch.setattr(base, "BLOCK_VALUES", 37)
    longer = {"maxshape": (None,)} if chunks == "longer_than_data" else {}
    how = COMPRESSIONS[compression] | longer | {"chunks": CHUNKS[chunks]}
    path = write(many_counts.astype(np.float32), **how)
    expected = read_by_anndata(path)
    assert np.array_equal(expected, many_counts.toarray())
    atlas = reader.same(path, expected)
    assert atlas.row_lengths(0, 40).tolist() == np.diff(many_counts.indptr).tolist()
    assert sum(b.n_bytes for b in atlas.rows(0, 40)) > 0


def test_only_unusual_filters_go_through_the_library(write, reader, many_counts, monkeypatch):
    """What the table above covers is read past HDF5, or these tests would test h5py."""
    seen = []
    undone = filters.undone
    monkeypatch.setattr(filters, "undone", lambda *a: seen.append(len(a[0])) or undone(*a))
    for name, how in COMPRESSIONS.items():
        seen.clear()
        path = write(many_counts.astype(np.float32), name=f"{name}.h5ad", chunks=(50,), **how)
        with h5py.File(path) as file:
            last = file["X/data"].id.get_chunk_info(many_counts.nnz // 50).size
        reader.open(path, counts="X").peek()
        assert (last in seen) == (name in DIRECT), name


@pytest.mark.parametrize("place", ["X", "raw/X", "layers/counts", "layers/umi"])
@pytest.mark.parametrize("how", [{}, GZIP], ids=["plain", "gzip"])
def test_places(write, reader, many_counts, place, how, blocks):
    path = write(many_counts.astype(np.float32), place, chunks=(50,), **how)
    atlas = reader.same(path, read_by_anndata(path, place))
    assert atlas.counts == place
    assert reader.same(path, many_counts.toarray(), counts=place).counts == place


@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize(
    "dtype", ["<i4", "<i8", "<u2", "<f4", "<f8", "<u4", "<u8", "<i2", ">f4", ">i8", ">u2", ">f8"]
)
def test_number_types(write, reader, many_counts, dtype, contiguous, blocks):
    how = {} if contiguous else GZIP | {"chunks": (50,), "shuffle": True}
    path = write(many_counts, parts=["data"], dtype=dtype, **how)
    with h5py.File(path) as file:
        assert file["X/data"].dtype == np.dtype(dtype)
    reader.same(path, many_counts.toarray())
    if dtype[0] == "<":  # of the others, scipy makes no matrix
        assert np.array_equal(read_by_anndata(path), many_counts.toarray())


@pytest.mark.parametrize("pointer", ["<i4", "<i8", ">i4", "<u4", "<u8"])
@pytest.mark.parametrize("indices", ["<i4", "<i8", "<u2", ">i4", ">i8", "<u4"])
def test_index_types(write, reader, many_counts, store_again, indices, pointer, monkeypatch):
    monkeypatch.setattr(base, "BLOCK_VALUES", 37)
    path = write(many_counts.astype(np.float32), parts=["indices"], dtype=indices, chunks=(50,))
    store_again(path, "X", parts=["indptr"], dtype=pointer, compression="gzip", chunks=(9,))
    reader.same(path, many_counts.toarray())


@pytest.mark.parametrize("maxshape", [None, (None,), (5000,)])
@pytest.mark.parametrize("compression", ["gzip_shuffle", "none"])
@pytest.mark.parametrize("chunks", ["cuts_rows", "just_all"])
def test_the_latest_layouts_of_hdf5(write, reader, many_counts, compression, chunks, maxshape):
    """Other indexes of chunks: a single chunk, fixed and extensible arrays."""
    how = COMPRESSIONS[compression] | {"chunks": CHUNKS[chunks], "maxshape": maxshape}
    path = write(many_counts.astype(np.float32), libver="latest", **how)
    reader.same(path, read_by_anndata(path))


def test_chunks_that_skip_their_filters(write, reader, many_counts, damage):
    """As HDF5 stores what does not become smaller; each filter has its bit."""
    how = GZIP | {"shuffle": True, "chunks": (50,)}
    path = write(many_counts.astype(np.float32), **how)
    expected = read_by_anndata(path)
    with h5py.File(path, "r+") as file:
        for name in ("X/data", "X/indices"):
            data = file[name]
            raw = data[:50].tobytes()
            planes = np.frombuffer(data[50:100].tobytes(), np.uint8).reshape(-1, 4).T.tobytes()
            data.id.write_direct_chunk((0,), raw, 0b11)
            data.id.write_direct_chunk((50,), planes, 0b10)
    assert np.array_equal(read_by_anndata(path), expected)
    reader.same(path, expected)


@pytest.mark.parametrize("size", [512, 4096])
@pytest.mark.parametrize("how", [GZIP | {"chunks": (50,)}, {"chunks": (50,)}, {}])
def test_user_block(write, reader, many_counts, tmp_path, size, how):
    path = write(many_counts.astype(np.float32), **how)
    shifted = tmp_path / "shifted.h5ad"
    with h5py.File(path) as old, h5py.File(shifted, "w", userblock_size=size) as new:
        for name in old:
            old.copy(name, new)
        new.attrs.update(old.attrs)
    with shifted.open("r+b") as stream:
        stream.write(b"anything may stand here")
    reader.same(shifted, read_by_anndata(shifted))


@pytest.mark.parametrize("compression", ["gzip", "zstd", "lzf"])
def test_everything_compressed(reader, many_counts, tmp_path, compression):
    """The names of cells and genes too, by a filter HDF5 lacks until it is brought."""
    chosen = hdf5plugin.FILTERS["zstd"] if compression == "zstd" else compression
    data = ad.AnnData(many_counts.astype(np.float32))
    data.write_h5ad(tmp_path / "z.h5ad", compression=chosen)
    atlas = reader.same(tmp_path / "z.h5ad", many_counts.toarray())
    assert len(atlas.cells) == 40


def test_decompressors_are_brought_by_whoever_opens(many_counts, tmp_path):
    """This module imports them itself; a job of the workflow does not."""
    path = tmp_path / "z.h5ad"
    ad.AnnData(many_counts.astype(np.float32)).write_h5ad(path, compression=hdf5plugin.Zstd())
    program = (
        "import sys; from targetscore.config import AtlasRow; "
        "from targetscore.formats import open_atlas; "
        "row = AtlasRow(atlas='a', kind='mixed', format='h5ad', version='1', url='x', licence='x');"
        "atlas = open_atlas(row, sys.argv[1]); "
        "print(len(atlas.cells), sum(int(m.sum()) for _, m in atlas.blocks()))"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["40", str(many_counts.sum())], done.stderr


def test_numbers_that_do_not_fill_their_bytes(write, reader, many_counts):
    """Sixteen bits in the middle of 32: the bytes of the file are not those of the number."""
    path = write(many_counts.astype(np.int32))
    kind = h5py.h5t.STD_I32LE.copy()
    kind.set_precision(16)
    kind.set_offset(8)
    with h5py.File(path, "r+") as file:
        values = file["X/data"][:]
        del file["X/data"]
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((50,))
        space = h5py.h5s.create_simple(values.shape)
        h5py.h5d.create(file.id, b"X/data", kind, space, created)
        file["X/data"][:] = values
        stored = np.frombuffer(file["X/data"].id.read_direct_chunk((0,))[1], "<i4")
        assert np.array_equal(stored, values[:50] << 8)
    reader.same(path, read_by_anndata(path))


@pytest.mark.parametrize("n_shards", [2, 3, 7])
@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix, sp.csr_matrix.toarray])
def test_shards(write, reader, many_counts, n_shards, layout, blocks):
    path = write(layout(many_counts.astype(np.float32)), chunks=True, compression="gzip")
    reader.same(path, many_counts.toarray(), n_shards=n_shards)


def test_blocks_are_read_after_the_others_and_from_any_thread(write, reader, many_counts):
    """The file stays open as long as a block needs it, for the library's way too."""
    for name, how in (("a", GZIP), ("b", dict(hdf5plugin.Blosc())), ("c", {})):
        path = write(many_counts.astype(np.float32), name=f"{name}.h5ad", chunks=(50,), **how)
        atlas = reader.open(path)
        blocks = list(atlas.rows(0, 40))
        values = np.concatenate([b.load()[1] for b in reversed(blocks)][::-1])
        assert np.array_equal(values, many_counts.data)


@pytest.mark.parametrize("fill", [None, 0, 255])
@pytest.mark.parametrize("n", [1, 2, 3, 720, 721, 50_000, 3_000_000])
def test_checksum_is_that_of_hdf5(n, fill):
    random = np.random.default_rng(n).integers(0, 256, n).astype(np.uint8)
    values = random if fill is None else np.full(n, fill, np.uint8)
    with h5py.File("checksum", "w", driver="core", backing_store=False) as file:
        made = file.create_dataset("a", data=values, chunks=(n,), fletcher32=True)
        stored = made.id.read_direct_chunk((0,))[1]
    assert stored[-4:] == filters.fletcher32(values).to_bytes(4, "little")


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=30), st.integers(0, 300))
def test_lzf_as_the_library_writes_it(pieces, repeat):
    values = np.frombuffer(b"".join(pieces) * 3 + bytes(repeat) + b"end", np.uint8)
    with h5py.File("lzf", "w", driver="core", backing_store=False) as file:
        made = file.create_dataset("a", data=values, chunks=values.shape, compression="lzf")
        mask, stored = made.id.read_direct_chunk((0,))
    applied = [] if mask else [h5py.h5z.FILTER_LZF]
    assert bytes(filters.undone(stored, applied, len(values), 1)) == values.tobytes()


@given(st.binary(max_size=60))
def test_lzf_of_nonsense_never_leaves_its_room(stored):
    try:
        n = len(filters.undone(stored, [h5py.h5z.FILTER_LZF], 64, 4))
    except ValueError:
        n = 64
    assert n == 64
