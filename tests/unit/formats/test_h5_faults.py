"""A damaged HDF5 file ends in an error that names file, place and remedy, never in counts."""

import os
import tracemalloc
import zlib
from pathlib import Path

import anndata as ad
import h5py
import hdf5plugin
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from targetscore.config import AtlasRow
from targetscore.errors import AtlasError, MatrixError
from targetscore.formats import base, chunks, filters, open_atlas

GZIP = {"compression": "gzip", "compression_opts": 4}
WAYS = {
    "gzip": GZIP,
    "gzip_shuffle": GZIP | {"shuffle": True},
    "gzip_fletcher32": GZIP | {"fletcher32": True},
    "lzf": {"compression": "lzf"},
    "zstd": dict(hdf5plugin.Zstd()),
    "none": {},
    "fletcher32": {"fletcher32": True},
}
LAYOUTS = [sp.csr_matrix, sp.csc_matrix]


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory, many_counts) -> Path:
    path = tmp_path_factory.mktemp("whole") / "a.h5ad"
    ad.AnnData(many_counts.astype(np.float32)).write_h5ad(path, compression="gzip")
    return path


def row_of(path: Path, kind: str = "h5ad") -> AtlasRow:
    basis = {"atlas": "a", "kind": "mixed", "version": "1", "licence": "CC0"}
    return AtlasRow(**basis, format=kind, url=str(path))


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True), kind=st.sampled_from(["h5ad", "tenx_h5"]))
def test_a_file_cut_anywhere_is_refused(whole_file, tmp_path_factory, share, kind):
    content = whole_file.read_bytes()
    path = tmp_path_factory.mktemp("cut") / "a.h5ad"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(AtlasError, match="truncated or not HDF5; delete it") as caught:
        open_atlas(row_of(path, kind), str(path))
    assert caught.value.problems[0].file == str(path)


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 0.99))
def test_a_file_whose_end_never_came_is_refused(whole_file, tmp_path_factory, many_counts, share):
    """As a download leaves it that made room for all bytes first: zeros to the end."""
    content = whole_file.read_bytes()
    cut = int(len(content) * share)
    path = tmp_path_factory.mktemp("zeros") / "a.h5ad"
    path.write_bytes(content[:cut] + bytes(len(content) - cut))
    try:
        atlas = open_atlas(row_of(path), str(path))
        counts = np.vstack([b.toarray() for _, b in atlas.blocks()])
        n_named = len(atlas.cells)
    except AtlasError as error:
        named = error.problems[0].file == str(path)
    else:  # only parts that nobody needs are missing
        named = np.array_equal(counts, many_counts.toarray()) and n_named == len(counts)
    assert named


def inflated_to(n_bytes: int):
    """A chunk that is whole in itself, but holds another number of bytes."""

    def change(stored: bytes) -> bytes:
        raw = zlib.decompress(stored)
        return zlib.compress((raw + bytes(max(n_bytes, 0)))[: len(raw) + n_bytes], 4)

    return change


def flipped(stored: bytes) -> bytes:
    middle = len(stored) // 2
    return stored[:middle] + bytes([stored[middle] ^ 0xFF]) + stored[middle + 1 :]


def garbage(stored: bytes) -> bytes:
    return np.random.default_rng(0).bytes(len(stored))


@pytest.mark.parametrize("layout", [*LAYOUTS, sp.csr_matrix.toarray])
@pytest.mark.parametrize("part", ["data", "indices"])
@pytest.mark.parametrize("number", [1, -1])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (inflated_to(-4), "a piece of it holds 196 bytes instead of 200"),
        (inflated_to(-200), "a piece of it holds 0 bytes instead of 200"),
        (inflated_to(1), "a piece of it holds more than 200 bytes instead of 200"),
        (inflated_to(4000), "a piece of it holds more than 200 bytes instead of 200"),
        (flipped, "cannot be read"),
        (garbage, "cannot be read"),
        (lambda b: bytes(len(b)), "cannot be read"),
        (lambda b: b[:1], "truncated"),
        (lambda b: b[: len(b) // 2], "cannot be read"),
        (lambda b: b[:-1], "truncated"),
        (lambda b: b[:-4], "truncated"),
        (lambda b: b[:-1] + bytes([b[-1] ^ 1]), "cannot be read"),
    ],
)
def test_a_gzip_chunk_that_lies(
    write, reader, damage, many_counts, layout, part, number, change, says
):
    dense = layout is sp.csr_matrix.toarray
    how = GZIP | {"chunks": (5, 10) if dense else (50,)}
    path = write(layout(many_counts.astype(np.float32)), **how)
    name = "X" if dense else f"X/{part}"
    with h5py.File(path) as file:
        last = file[name].id.get_num_chunks() - 1
    damage.chunk(path, name, change, last if number == -1 else number)
    reader.refused(path, says, name, counts="X")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", ["data", "indices"])
def test_garbage_in_a_chunk(write, reader, damage, many_counts, way, part):
    path = write(many_counts.astype(np.float32), chunks=(50,), **WAYS[way])
    damage.chunk(path, f"X/{part}", garbage, 2)
    reader.refused(path, "the (matrix|values)", "X", counts="X")


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"none"}))
@pytest.mark.parametrize("difference", [-20, 20])
def test_a_chunk_of_another_length(write, reader, damage, tmp_path, many_counts, way, difference):
    """Whole in itself, made by the same library: HDF5 shows memory beyond its end instead."""
    path = write(many_counts.astype(np.float32), chunks=(50,), **WAYS[way])
    n = 50 + difference
    with h5py.File("other", "w", driver="core", backing_store=False) as file:
        other = file.create_dataset("a", data=np.ones(n, "f4"), chunks=(n,), **WAYS[way])
        stored = other.id.read_direct_chunk((0,))[1]
    damage.chunk(path, "X/data", lambda _: stored, 2)
    reader.refused(path, "the matrix", "X/data, values from 100", counts="X")


@pytest.mark.parametrize(
    "stored",
    [
        b"\x20\x00",  # repeats what comes before the beginning
        b"\x01ab\x20\x05",
        b"\x05abc",  # ends inside literal bytes, a length and a distance
        b"\x01ab\xe0",
        b"\x01ab\xe0\x00",
        b"\x01ab\x20",
        b"\x01ab\xe0\xff\x00",  # more than 64 bytes
        b"\x01ab",
        b"",
    ],
)
def test_lzf_that_is_none(stored):
    with pytest.raises(ValueError, match="a piece of it"):
        filters.undone(stored, [h5py.h5z.FILTER_LZF], 64, 4)


def test_a_checksum_that_is_not_that_of_the_values(write, reader, damage, many_counts):
    def swapped(stored: bytes) -> bytes:
        return stored[100:200] + stored[:100] + stored[200:]

    def signed(stored: bytes) -> bytes:
        values = swapped(stored)[:200]
        return values + filters.fletcher32(np.frombuffer(values, np.uint8)).to_bytes(4, "little")

    wrong, right = (
        write(many_counts.astype(np.float32), name=n, chunks=(50,), fletcher32=True)
        for n in ("wrong.h5ad", "right.h5ad")
    )
    damage.chunk(wrong, "X/data", swapped, 2)
    reader.refused(wrong, "does not have its checksum", "X/data, values from 100", counts="X")
    damage.chunk(right, "X/data", signed, 2)
    with h5py.File(right) as file:
        stored = file["X/data"][:]
    assert np.concatenate([b.data for _, b in reader.open(right).blocks()]).tolist() == list(stored)


@pytest.mark.parametrize("size", [1 << 24, 1 << 28])
def test_a_chunk_that_inflates_without_end(write, reader, damage, many_counts, size):
    path = write(many_counts.astype(np.float32), chunks=(50,), **GZIP)
    bomb = zlib.compress(bytes(size), 9)
    damage.chunk(path, "X/data", lambda _: bomb, 2)
    tracemalloc.start()
    reader.refused(path, "more than 200 bytes instead of 200", "X/data", counts="X")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 26


@pytest.mark.parametrize("bounded", [0, 1 << 60], ids=["stops", "at_once"])
@pytest.mark.parametrize("cut", [1, 3, 4, 5, 30])
def test_both_ways_to_inflate_find_the_end(monkeypatch, bounded, cut):
    monkeypatch.setattr(filters, "_BOUNDED", bounded)
    raw = np.random.default_rng(1).integers(0, 9, 400).astype(np.uint8).tobytes()
    stored = zlib.compress(raw)
    assert filters.undone(stored, [1], 400, 4) == raw
    for wrong, n_bytes in ((stored[:-cut], 400), (stored, 400 - cut), (stored, 400 + cut)):
        with pytest.raises(ValueError, match="truncated|instead of"):
            filters.undone(wrong, [1], n_bytes, 4)


@pytest.mark.parametrize("way", ["gzip", "lzf", "none", "blosc"])
@pytest.mark.parametrize("part", ["data", "indices", "indptr", "dense"])
def test_a_chunk_that_was_never_written(write, reader, many_counts, way, part):
    """HDF5 reads zeros there: as counts, as columns, and as rows."""
    how = dict(hdf5plugin.Blosc()) if way == "blosc" else WAYS[way]
    matrix = many_counts.astype(np.float32)
    path = write(matrix.toarray() if part == "dense" else matrix)
    name, length = ("X", (5, 10)) if part == "dense" else (f"X/{part}", (10,))
    with h5py.File(path, "r+") as file:
        values, attributes = file[name][()], dict(file[name].attrs)
        del file[name]
        made = file.create_dataset(name, values.shape, values.dtype, chunks=length, **how)
        made.attrs.update(attributes)
        made[10:] = values[10:]
    reader.refused(path, "never written", name, counts="X")


def test_values_that_were_never_written(write, reader, many_counts):
    path = write(many_counts.astype(np.float32))
    with h5py.File(path, "r+") as file:
        del file["X/data"]
        file["X"].create_dataset("data", (many_counts.nnz,), "f4")
    reader.refused(path, "never written", "X/data")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("indptr", lambda v: v[::-1].copy(), "does not ascend"),
        ("indptr", lambda v: np.r_[v[:9], v[9] + 10**6, v[10:]], "does not ascend"),
        ("indptr", lambda v: np.r_[v[:9], -5, v[10:]], "does not ascend"),
        ("indptr", lambda v: np.r_[v[:-1], v[-1] + 1], "does not ascend"),
        ("indptr", lambda v: np.r_[v[:-1].astype("i8"), 2**62], "does not ascend"),
        ("indptr", lambda v: np.r_[v[:-1].astype("u8"), np.uint64(2**64 - 1)], "does not ascend"),
        ("indptr", lambda v: np.r_[1, v[1:]], "leaves out"),
        ("indptr", lambda v: np.minimum(v, v[-2] - 1), "leaves out"),
        ("indptr", lambda v: np.zeros_like(v), "leaves out"),
        ("indptr", lambda v: v[:-1], "pointers for a matrix of"),
        ("indptr", lambda v: np.r_[v, v[-1]], "pointers for a matrix of"),
        ("indptr", lambda v: v.astype(float), "not whole numbers"),
        ("indptr", lambda v: v.reshape(-1, 1), "2 dimensions"),
        ("indices", lambda v: v[:-1], "indices for"),
        ("indices", lambda v: np.r_[v, v], "indices for"),
        ("indices", lambda v: v.astype(float), "not whole numbers"),
        ("indices", lambda v: np.r_[v[:70], -1, v[71:]], "out of range"),
        ("indices", lambda v: np.r_[v[:70], 40, v[71:]], "out of range"),
        ("indices", lambda v: np.r_[v[:-1].astype("i8"), 2**31], "out of range"),
        ("indices", lambda v: np.r_[v[:-1].astype("u8"), np.uint64(2**63)], "out of range"),
        ("data", lambda v: v[:-1], "indices for"),
        ("data", lambda v: v[:0], "indices for"),
        ("data", lambda v: v.astype("S3"), "text instead of numbers"),
        ("data", lambda v: v > 0, "true/false instead of numbers"),
        ("data", lambda v: np.r_[v[:-1], np.float32(np.nan)], "not finite"),
        ("data", lambda v: np.r_[v[:-1], np.float32(-1)], "negative"),
    ],
)
def test_parts_that_contradict_each_other(
    write, reader, damage, many_counts, layout, name, change, says
):
    path = write(layout(many_counts.astype(np.float32)))
    damage.values(path, f"X/{name}", change)
    reader.refused(path, says, "X", counts="X")


@pytest.mark.parametrize("name", ["X/data", "X/indices", "X/indptr"])
def test_an_unknown_filter(write, reader, many_counts, name):
    """A filter that no library knows, as the file says; its stored bytes are anything."""
    path = write(many_counts.astype(np.float32))
    with h5py.File(path, "r+") as file:
        values = file[name][:]
        del file[name]
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((len(values),))
        created.set_filter(32111, h5py.h5z.FLAG_OPTIONAL, (1,))
        space, kind = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
        made = h5py.h5d.create(file.id, name.encode(), kind, space, created)
        made.write_direct_chunk((0,), values.tobytes(), 0)
    error = reader.refused(path, r"filters that cannot be read here: \[32111\]", name, counts="X")
    assert "write_h5ad(new, 'gzip')" in error.problems[0].remedy


def test_values_kept_in_other_files(write, reader, many_counts, tmp_path):
    """Their bytes would have been read at that place of this file."""
    values = many_counts.data.astype(np.float32)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = values
    virtual = h5py.VirtualLayout(values.shape, values.dtype)
    virtual[:] = h5py.VirtualSource(tmp_path / "other.h5", "data", values.shape)
    raw = tmp_path / "raw"
    raw.write_bytes(values.tobytes())
    makers = {
        "link": lambda x: x.__setitem__("data", h5py.ExternalLink("other.h5", "data")),
        "virtual": lambda x: x.create_virtual_dataset("data", virtual),
        "external": lambda x: x.create_dataset(
            "data", values.shape, "f4", external=[(raw, 0, values.nbytes)]
        ),
    }
    for name, make in makers.items():
        path = write(many_counts.astype(np.float32), name=f"{name}.h5ad")
        with h5py.File(path, "r+") as file:
            del file["X/data"]
            make(file["X"])
        reader.refused(path, "kept in other files", "", counts="X")


def test_a_shape_that_is_none(write, reader, many_counts):
    for shape in (None, [40], [-1, 30], [40, 30, 2], "forty"):
        path = write(many_counts.astype(np.float32))
        with h5py.File(path, "r+") as file:
            del file["X"].attrs["shape"]
            if shape is not None:
                file["X"].attrs["shape"] = shape
        reader.refused(path, "cannot be read", "X", counts="X")


def test_the_file_ends_inside_a_chunk(write, reader, many_counts, monkeypatch):
    """The table of chunks may point beyond the end, or say a chunk is larger than the file."""
    path = write(many_counts.astype(np.float32), chunks=(50,), **GZIP)
    table = chunks._chunk_table
    for column, value in ((0, os.stat(path).st_size - 3), (1, 2**40), (0, -5)):

        def lying(dataset, column=column, value=value):
            found = table(dataset)
            if dataset.name == "/X/data":
                found[2, column] = value
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "_chunk_table", lying)
            reader.refused(path, "cannot be read", "X/data, values from 100", counts="X")


def test_labels_that_cannot_be_read(write, reader, many_counts):
    path = write(many_counts.astype(np.float32))
    with h5py.File(path, "r+") as file:
        file["obs"].attrs["encoding-type"] = "of-a-later-time"
    with pytest.raises(AtlasError, match="obs: the table cannot be read"):
        len(reader.open(path).cells)


def test_damage_to_one_matrix_is_not_passed_over(write, reader, damage, many_counts):
    """Another matrix that holds whole numbers must not be taken in its place."""
    path = write(many_counts.astype(np.float32), "raw/X", chunks=(50,), **GZIP)
    with h5py.File(path, "r+") as file:
        file.copy("raw/X", "X")
    damage.chunk(path, "raw/X/data", garbage, 0)
    reader.refused(path, "cannot be read", "raw/X/data")


def test_lengths_of_rows_are_a_named_error_too(write, reader, damage, many_counts):
    path = write(many_counts.astype(np.float32))
    atlas = reader.open(path)
    damage.values(path, "X/indptr", lambda v: v[::-1].copy())
    with pytest.raises(MatrixError, match="does not ascend") as caught:
        atlas.row_lengths(0, 40)
    assert caught.value.problems[0].place == "X/indptr"


def test_a_shard_never_reads_past_its_rows(write, reader, damage, many_counts, monkeypatch):
    """Damage in the rows of another shard is that shard's."""
    monkeypatch.setattr(base, "BLOCK_VALUES", 37)
    path = write(many_counts.astype(np.float32), chunks=(20,), **GZIP)
    with h5py.File(path) as file:
        last = file["X/data"].id.get_num_chunks() - 1
    damage.chunk(path, "X/data", garbage, last)
    atlas = reader.open(path, counts="X")
    got = np.concatenate([b.load()[1] for b in atlas.rows(0, 20)])
    assert np.array_equal(got, many_counts[:20].data)
    with pytest.raises(MatrixError, match="X/data, values from"):
        [b.load() for b in atlas.rows(20, 40)]
