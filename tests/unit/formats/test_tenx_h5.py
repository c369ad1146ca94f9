"""10x HDF5 of both generations gives the counts that scanpy reads."""

import h5py
import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp

from targetscore.formats import base

CELL_RANGER = {"compression": "gzip", "shuffle": True, "chunks": (64,), "maxshape": (None,)}


def put_matrix(group: h5py.Group, counts: sp.csr_matrix, **how) -> None:
    """Cells × genes by rows, which 10x calls genes × cells by columns."""
    how = CELL_RANGER | how
    group.create_dataset("data", data=counts.data.astype(np.int32), **how)
    group.create_dataset("indices", data=counts.indices.astype(np.int64), **how)
    group.create_dataset("indptr", data=counts.indptr.astype(np.int64), **how)
    group["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
    group["barcodes"] = np.array([f"AAAC{i:04d}-1" for i in range(counts.shape[0])], dtype="S18")


def ids(n: int, before: str = "") -> list[str]:
    return [f"{before}ENSG{i:011d}" for i in range(n)]


@pytest.fixture
def write_early(tmp_path):
    """Cell Ranger 2: a group per genome."""

    def write(**genomes):
        path = tmp_path / "early.h5"
        with h5py.File(path, "w") as file:
            for name, counts in genomes.items():
                n = counts.shape[1]
                put_matrix(file.create_group(name), counts)
                file[name]["genes"] = np.array(ids(n), dtype="S")
                file[name]["gene_names"] = np.array([f"G{i}" for i in range(n)], dtype="S")
        return path

    return write


@pytest.fixture
def write_tenx_h5(tmp_path, many_counts):
    """Cell Ranger 3 and later: features, of which the last few are no genes."""

    def write(counts=many_counts, kinds=None, genomes=None, names=None, **how):
        path, n = tmp_path / "filtered_feature_bc_matrix.h5", counts.shape[1]
        columns = {
            "id": names or ids(n),
            "name": names or [f"G{i}" for i in range(n)],
            "feature_type": kinds or ["Gene Expression"] * n,
            "genome": genomes or ["GRCh38"] * n,
        }
        with h5py.File(path, "w") as file:
            matrix = file.create_group("matrix")
            put_matrix(matrix, counts, **how)
            for key, values in columns.items():
                matrix[f"features/{key}"] = np.array(values, dtype="S")
            matrix["features/_all_tag_keys"] = np.array(["genome"], dtype="S")
        return path

    return write


@pytest.fixture(params=[37, 2_000_000], ids=["small_blocks", "one_block"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(base, "BLOCK_VALUES", request.param)


def dense_of(data) -> np.ndarray:
    return np.asarray(data.X.todense()).astype(np.int64)


@pytest.mark.parametrize("n_shards", [1, 3])
def test_cell_ranger_2(write_early, reader, many_counts, n_shards, blocks):
    path = write_early(GRCh38=many_counts)
    expected = sc.read_10x_h5(path, genome="GRCh38")
    atlas = reader.same(path, dense_of(expected), n_shards=n_shards, format="tenx_h5")
    assert np.array_equal(dense_of(expected), many_counts.toarray())
    assert atlas.counts == "GRCh38"
    assert atlas.gene_ids == expected.var["gene_ids"].tolist()
    assert atlas.gene_symbols == expected.var_names.tolist()
    assert atlas.cells["cell"].tolist() == expected.obs_names.tolist()
    assert atlas.gene_of_column is None
    assert atlas.row_lengths(3, 9).tolist() == np.diff(many_counts.indptr[3:10]).tolist()


@pytest.mark.parametrize("n_shards", [1, 3])
@pytest.mark.parametrize(
    "others", [[], [28, 29], [0, 1], [3, 4, 17, 29]], ids=["none", "last", "first", "between"]
)
def test_cell_ranger_3_without_antibodies(
    write_tenx_h5, reader, many_counts, others, n_shards, blocks
):
    kinds = np.array(["Gene Expression"] * 30, dtype=object)
    kinds[others] = ["Antibody Capture", "CRISPR Guide Capture", "Custom", "Peaks"][: len(others)]
    genomes = ["" if i in others else "GRCh38" for i in range(30)]
    path = write_tenx_h5(kinds=kinds.tolist(), genomes=genomes)
    expected = sc.read_10x_h5(path)
    atlas = reader.same(path, dense_of(expected), n_shards=n_shards, format="tenx_h5")
    kept = [i for i in range(30) if i not in others]
    assert np.array_equal(dense_of(expected), many_counts.toarray()[:, kept])
    assert atlas.counts == "matrix"
    assert atlas.gene_ids == expected.var["gene_ids"].tolist()
    assert atlas.gene_symbols == expected.var_names.tolist()
    assert atlas.cells["cell"].tolist() == expected.obs_names.tolist()


@pytest.mark.parametrize("how", [{"compression": "lzf"}, {"compression": None, "shuffle": False}])
def test_written_by_other_tools(write_tenx_h5, reader, many_counts, how):
    path = write_tenx_h5(**how)
    reader.same(path, many_counts.toarray(), format="tenx_h5")


def test_names_of_varying_length(write_tenx_h5, reader, many_counts):
    path = write_tenx_h5()
    with h5py.File(path, "r+") as file:
        del file["matrix/barcodes"], file["matrix/features/genome"]
        file["matrix/barcodes"] = [f"Zürich_{i}" for i in range(40)]
    atlas = reader.same(path, many_counts.toarray(), format="tenx_h5")
    assert atlas.cells["cell"].tolist()[1] == "Zürich_1"


def test_two_genomes_of_cell_ranger_2(write_early, reader, many_counts):
    mouse = many_counts[:, ::-1].tocsr()
    path = write_early(mm10=mouse, hg19=many_counts)
    atlas = reader.same(path, many_counts.toarray(), format="tenx_h5")
    assert atlas.counts == "hg19 (the human one of hg19, mm10)"
    expected = dense_of(sc.read_10x_h5(path, genome="mm10"))
    named = reader.same(path, expected, format="tenx_h5", counts="mm10")
    assert named.counts == "mm10 (named; of hg19, mm10)"


def test_two_genomes_of_cell_ranger_3(write_tenx_h5, reader, many_counts):
    """Names begin with the genome there, which would make every gene unknown."""
    genomes = ["mm10" if i % 3 else "GRCh38" for i in range(30)]
    names = [f"{g}{'_' * (1 if g == 'GRCh38' else 3)}G_{i}" for i, g in enumerate(genomes)]
    path = write_tenx_h5(genomes=genomes, names=names)
    expected = sc.read_10x_h5(path, genome="GRCh38")
    atlas = reader.same(path, dense_of(expected), format="tenx_h5")
    assert np.array_equal(dense_of(expected), many_counts.toarray()[:, ::3])
    assert atlas.counts == "matrix, genome GRCh38 (the human one of GRCh38, mm10)"
    assert atlas.gene_symbols == [f"G_{i}" for i in range(0, 30, 3)] == atlas.gene_ids
    mouse = reader.same(
        path, dense_of(sc.read_10x_h5(path, genome="mm10")), format="tenx_h5", counts="mm10"
    )
    assert mouse.gene_ids[:2] == ["G_1", "G_2"]


@pytest.mark.parametrize(("first", "second"), [("GRCh38", "hg19"), ("mm10", "rn6")])
def test_genomes_without_one_human(write_early, write_tenx_h5, reader, many_counts, first, second):
    early = write_early(**{first: many_counts, second: many_counts})
    late = write_tenx_h5(genomes=[first, second] * 15)
    for path in (early, late):
        error = reader.refused(path, "holds 2 genomes", None, format="tenx_h5")
        assert f"({first}, {second})" in str(error)
        assert "registry column 'counts'" in error.problems[0].remedy
        reader.open(path, format="tenx_h5", counts=first).peek()


def test_unknown_genome_offers_a_near_match(write_early, write_tenx_h5, reader, many_counts):
    for path in (write_early(GRCh38=many_counts), write_tenx_h5()):
        error = reader.refused(path, "no such genome", "grch37", format="tenx_h5", counts="grch37")
        assert "did you mean 'GRCh38'?" in str(error)


def test_other_hdf5_files(write, reader, many_counts, tmp_path):
    path = write(many_counts.astype(np.float32))
    assert "AnnData is h5ad" in str(reader.refused(path, "not a 10x matrix", "", format="tenx_h5"))
    (tmp_path / "a.h5").write_text("<html>404</html>")
    reader.refused(tmp_path / "a.h5", "cannot be opened as a 10x HDF5 file", "", format="tenx_h5")
    reader.refused(tmp_path, "is a folder, not a 10x HDF5 file", "", format="tenx_h5")


def test_tenx_as_h5ad_says_which_format(write_tenx_h5, reader):
    assert "tenx_h5" in str(reader.refused(write_tenx_h5(), "HDF5 but not AnnData", ""))


def test_not_counts(write_tenx_h5, reader, damage):
    path = write_tenx_h5()
    damage.values(path, "matrix/data", lambda v: np.log1p(v))
    reader.refused(path, "not whole numbers", "matrix", format="tenx_h5")
    with pytest.raises(base.MatrixError, match="log-normalised"):
        reader.open(path, format="tenx_h5").peek()


@pytest.mark.parametrize(
    ("name", "change", "place"),
    [
        ("matrix/barcodes", lambda v: v[:-1], "matrix/barcodes"),
        ("matrix/features/id", lambda v: v[:-1], "matrix/features/id"),
        ("matrix/features/name", lambda v: np.append(v, v), "matrix/features/name"),
        ("matrix/features/feature_type", lambda v: v[:3], "matrix/features/feature_type"),
        ("matrix/features/genome", lambda v: v[:3], "matrix/features/genome"),
        ("matrix/features/name", lambda v: np.arange(len(v)), "matrix"),
        ("matrix/shape", lambda v: v + 1, "matrix"),
        ("matrix/shape", lambda v: -v, "matrix/shape"),
        ("matrix/shape", lambda v: v[:1], "matrix"),
        ("matrix/indptr", lambda v: v[::-1].copy(), "matrix/indptr"),
        ("matrix/indices", lambda v: v[:-1], "matrix/indices"),
        ("matrix/indices", lambda v: v + 10, "matrix"),
    ],
)
def test_parts_that_do_not_fit(write_tenx_h5, reader, damage, name, change, place):
    path = write_tenx_h5()
    damage.values(path, name, change)
    with pytest.raises(base.MatrixError) as caught:
        atlas = reader.open(path, format="tenx_h5")
        len(atlas.cells)
        list(atlas.blocks())
    assert caught.value.problems[0].place.startswith(place)
    assert caught.value.problems[0].file == str(path)


@pytest.mark.parametrize(
    "gone", ["data", "indices", "indptr", "shape", "barcodes", "features/id", "features/name"]
)
def test_missing_parts(write_tenx_h5, reader, gone):
    path = write_tenx_h5()
    with h5py.File(path, "r+") as file:
        del file["matrix"][gone]
    with pytest.raises(base.MatrixError, match="cannot be read"):
        len(reader.open(path, format="tenx_h5").cells)
