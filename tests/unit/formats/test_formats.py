"""Every format gives the same raw counts, and says what is wrong with a bad file."""

import gzip

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from targetscore.errors import AtlasError, MatrixError
from targetscore.formats import base, mtx, open_atlas
from targetscore.formats.base import as_counts, row_ranges


def whole(atlas) -> np.ndarray:
    blocks = list(atlas.blocks())
    starts = np.cumsum([0] + [b.shape[0] for _, b in blocks])[:-1]
    assert [s for s, _ in blocks] == starts.tolist()
    return sp.vstack([b for _, b in blocks]).toarray()


@pytest.mark.parametrize("limit", [1, 5, 10_000])
@pytest.mark.parametrize(
    "layout",
    [sp.csr_matrix, sp.csc_matrix, np.asarray, lambda d: sp.csr_matrix(d.astype(np.int32))],
    ids=["csr", "csc", "dense", "csr_int"],
)
def test_h5ad_layouts(atlas_row, write_h5ad, counts, layout, limit, monkeypatch):
    monkeypatch.setattr(base, "BLOCK_VALUES", limit)
    atlas = open_atlas(atlas_row(), str(write_h5ad(X=layout(counts.astype(np.float32)))))
    assert np.array_equal(whole(atlas), counts)
    assert atlas.gene_symbols[0] == "G0"
    assert atlas.cells["cell"].tolist()[:2] == ["cell0", "cell1"]


def test_h5ad_finds_raw_counts_behind_normalised_x(atlas_row, write_h5ad, counts):
    logs = sp.csr_matrix(np.log1p(counts).astype(np.float32))
    in_raw = open_atlas(atlas_row(), str(write_h5ad(X=logs, raw=sp.csr_matrix(counts))))
    assert in_raw.counts == "raw/X"
    assert np.array_equal(whole(in_raw), counts)
    layered = {"counts": sp.csr_matrix(counts)}
    in_layer = open_atlas(atlas_row(), str(write_h5ad("b.h5ad", X=logs, layers=layered)))
    assert in_layer.counts == "layers/counts"
    assert np.array_equal(whole(in_layer), counts)


def test_log_normalised_is_refused_with_the_reason(atlas_row, write_h5ad, counts):
    path = write_h5ad(X=sp.csr_matrix(np.log1p(counts).astype(np.float32)))
    with pytest.raises(MatrixError) as caught:
        open_atlas(atlas_row(), str(path))
    assert "no matrix holds raw counts (X: the values are not whole numbers" in str(caught.value)
    assert "looks log-normalised" in str(caught.value)
    named = open_atlas(atlas_row(counts="X"), str(path))
    with pytest.raises(MatrixError, match="registry column 'counts'"):
        named.peek()


def test_negative_is_refused(atlas_row, write_h5ad, counts):
    scaled = counts.astype(np.float32) - 1
    with pytest.raises(MatrixError, match="negative"):
        open_atlas(atlas_row(), str(write_h5ad(X=scaled)))


def test_unknown_layer_offers_a_near_match(atlas_row, write_h5ad, counts):
    path = write_h5ad(layers={"counts": sp.csr_matrix(counts)})
    with pytest.raises(AtlasError, match="did you mean 'layers/counts'"):
        open_atlas(atlas_row(counts="layers/count"), str(path))


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_truncated_h5ad(atlas_row, write_h5ad, keep):
    path = write_h5ad()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(AtlasError, match=r"a\.h5ad.*\n.*fetch it again"):
        open_atlas(atlas_row(), str(path))


def test_damaged_chunk_is_a_named_error(atlas_row, write_h5ad):
    path = write_h5ad()
    with h5py.File(path) as file:
        place = file["X/data"].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"\0" * 8)
    with pytest.raises(MatrixError, match="cannot be read"):
        whole(open_atlas(atlas_row(counts="X"), str(path)))


def test_column_index_out_of_range(atlas_row, write_h5ad):
    path = write_h5ad()
    with h5py.File(path, "r+") as file:
        file["X/indices"][0] = 1000
    with pytest.raises(MatrixError, match="out of range"):
        whole(open_atlas(atlas_row(), str(path)))


def test_not_anndata(atlas_row, tmp_path):
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file["matrix"] = [1]
    with pytest.raises(AtlasError, match="HDF5 but not AnnData"):
        open_atlas(atlas_row(), str(tmp_path / "x.h5ad"))
    (tmp_path / "y.h5ad").write_text("<html>404</html>")
    with pytest.raises(AtlasError, match="cannot be opened"):
        open_atlas(atlas_row(), str(tmp_path / "y.h5ad"))


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_tenx_leaves_antibodies_out(atlas_row, write_tenx, counts, chunk, monkeypatch):
    monkeypatch.setattr(mtx, "_triplets", _in_chunks(chunk))
    atlas = open_atlas(atlas_row(format="tenx_mtx"), str(write_tenx()))
    assert np.array_equal(whole(atlas), counts[:, :-1])
    assert len(atlas.gene_ids) == counts.shape[1] - 1


def _in_chunks(rows):
    original = mtx._triplets

    def triplets(path, wanted=mtx.BLOCK_VALUES):
        for chunk in original(path):
            for start in range(0, len(chunk), rows):
                yield chunk.iloc[start : start + rows]

    return triplets


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (lambda f: (f / "barcodes.tsv").unlink(), "has no barcodes.tsv"),
        (lambda f: (f / "barcodes.tsv").write_text("a\n"), "barcodes has 1 lines"),
        (lambda f: (f / "matrix.mtx").write_text("hello\n"), "not a matrix-market file"),
    ],
)
def test_tenx_files_that_do_not_fit(atlas_row, write_tenx, damage, wrong):
    folder = write_tenx()
    damage(folder)
    with pytest.raises(AtlasError, match=wrong):
        open_atlas(atlas_row(format="tenx_mtx"), str(folder))


def test_tenx_cut_short_or_not_counts(atlas_row, write_tenx, counts):
    folder = write_tenx()
    lines = (folder / "matrix.mtx").read_text().splitlines(keepends=True)
    (folder / "matrix.mtx").write_text("".join(lines[:-2]))
    with pytest.raises(MatrixError, match="it is cut short"):
        whole(open_atlas(atlas_row(format="tenx_mtx"), str(folder)))
    other = write_tenx("logs", np.log1p(counts))
    with pytest.raises(MatrixError, match="log-normalised"):
        open_atlas(atlas_row(format="tenx_mtx"), str(other)).peek()


def test_geo_pairs_by_sample_name(atlas_row, write_geo, counts):
    atlas = open_atlas(atlas_row(format="geo_text"), str(write_geo()))
    assert np.array_equal(whole(atlas), counts)
    assert atlas.cells["sample"].tolist() == ["A"] * 6 + ["B"] * 6
    assert atlas.cells["cell"].tolist()[0] == "A_cell0"
    assert atlas.cells["cell_type"].tolist()[:2] == ["plasma cell", "T cell"]


def test_geo_files_that_do_not_fit(atlas_row, write_geo, counts):
    folder = write_geo()
    next(folder.glob("*_A.anno.txt.gz")).unlink()
    with pytest.raises(AtlasError, match="the sample 'A' has no .anno.txt file"):
        open_atlas(atlas_row(format="geo_text"), str(folder))
    logs = write_geo("logs", np.log1p(counts))
    with pytest.raises(MatrixError, match="log-normalised"):
        open_atlas(atlas_row(format="geo_text"), str(logs)).peek()
    short = write_geo("short")
    matrix = next(short.glob("*_A.dem.txt.gz"))
    text = gzip.decompress(matrix.read_bytes())
    matrix.write_bytes(gzip.compress(text)[:-20])
    with pytest.raises(MatrixError, match="cut short"):
        whole(open_atlas(atlas_row(format="geo_text"), str(short)))


def test_geo_annotation_of_other_cells(atlas_row, write_geo):
    folder = write_geo()
    path = next(folder.glob("*_B.anno.txt.gz"))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"B_cell7", b"B_x")))
    with pytest.raises(AtlasError, match="1 cells of .* are not in it and 1 of its"):
        open_atlas(atlas_row(format="geo_text"), str(folder))


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ([1.0, np.nan], "not finite"),
        ([0.5, 1.0], "log-normalised"),
        ([0.5, 1000.0], "normalised"),
        ([-1.0], "negative"),
        ([2.0**60], "too large"),
    ],
)
def test_values_that_are_no_counts(values, wrong):
    with pytest.raises(MatrixError, match=wrong):
        as_counts(np.array(values), "f", "X")


def test_large_counts_stay_exact():
    large = np.array([2**24 + 1, 2**40 + 1], dtype=np.float64)
    assert as_counts(large, "f", "X").tolist() == [2**24 + 1, 2**40 + 1]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_row_ranges_cover_all_rows_once(limit, monkeypatch):
    monkeypatch.setattr(base, "BLOCK_VALUES", limit)
    indptr = np.array([0, 0, 5, 5, 6, 9, 9], dtype=np.int64)
    ranges = list(row_ranges(indptr))
    assert [a for a, _ in ranges] == [0, *(b for _, b in ranges[:-1])]
    assert ranges[-1][1] == 6
    assert all(b - a == 1 or indptr[b] - indptr[a] <= limit for a, b in ranges)


@pytest.mark.parametrize(
    ("dataset", "values"),
    [("X/indices", 50), ("X/indices", -1), ("X/indptr", 10**6)],
)
def test_damaged_columns_of_csc_never_reach_the_library(
    atlas_row, write_h5ad, counts, dataset, values
):
    """A row index out of range crashed the process instead of raising."""
    path = write_h5ad(X=sp.csc_matrix(counts.astype(np.float32)))
    with h5py.File(path, "r+") as file:
        file[dataset][-1] = values
    with pytest.raises(MatrixError, match="cannot be read"):
        whole(open_atlas(atlas_row(counts="X"), str(path)))


@pytest.mark.parametrize("gone", ["X/indptr", "X/data", "X/indices", "obs", "var"])
def test_missing_parts_are_a_named_error(atlas_row, write_h5ad, gone):
    path = write_h5ad()
    with h5py.File(path, "r+") as file:
        del file[gone]
    with pytest.raises(AtlasError, match=r"a\.h5ad"):
        whole(open_atlas(atlas_row(counts="X"), str(path)))


def test_folder_where_a_file_is_expected(atlas_row, tmp_path):
    with pytest.raises(AtlasError, match="is a folder, not an h5ad file"):
        open_atlas(atlas_row(), str(tmp_path))


def test_geo_annotation_with_an_extra_field_is_refused(atlas_row, write_geo):
    """Shifted by one, the tissue would have become the donor."""
    folder = write_geo()
    path = next(folder.glob("*_A.anno.txt.gz"))
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    shifted = "\n".join([header, *(f"{r}\t" for r in rows)]) + "\n"
    path.write_bytes(gzip.compress(shifted.encode()))
    with pytest.raises(AtlasError, match="as many fields as the header"):
        open_atlas(atlas_row(format="geo_text"), str(folder))


def test_geo_values_that_are_no_numbers(atlas_row, write_geo):
    folder = write_geo()
    path = next(folder.glob("*_A.dem.txt.gz"))
    text = gzip.decompress(path.read_bytes()).replace(b"\t0", b"\tlow", 1)
    path.write_bytes(gzip.compress(text))
    with pytest.raises(AtlasError):
        whole(open_atlas(atlas_row(format="geo_text"), str(folder)))
