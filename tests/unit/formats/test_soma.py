"""TileDB-SOMA stores made by tiledbsoma itself, also one laid out as the CELLxGENE Census is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
import tiledbsoma
import tiledbsoma.io as soma_io

from targetscore.config.stores import parse_store
from targetscore.errors import AtlasError, MatrixError
from targetscore.formats import OpenAtlas, base, open_atlas, soma

N_CELLS, N_GENES = 60, 30
RELEASE = "2025-11-08"


@pytest.fixture(scope="module")
def dense() -> np.ndarray:
    made = np.random.default_rng(4).negative_binomial(0.4, 0.05, (N_CELLS, N_GENES))
    made[5] = 0
    return made


@pytest.fixture(scope="module")
def labels() -> pd.DataFrame:
    n = np.arange(N_CELLS)
    disease = np.where(n % 3 == 0, "MONDO:0009693 || MONDO:0100096", "PATO:0000461")
    return pd.DataFrame(
        {
            "donor_id": pd.Categorical([f"D{i % 4}" for i in n]),
            "tissue": pd.Categorical(np.where(n < 40, "bone marrow", "blood")),
            "disease_ontology_term_id": pd.Categorical(disease),
            "dataset_id": pd.Categorical(np.where(n < 20, "first", "second")),
            "is_primary_data": n < 55,
            "batch": [f"b'{i % 2}" for i in n],
            "n_counts": n.astype(np.int64),
        },
        index=[f"cell{i}" for i in n],
    )


def annotated(dense: np.ndarray, labels: pd.DataFrame, **parts: object) -> ad.AnnData:
    genes = [f"ENSG{i:011d}" for i in range(dense.shape[1])]
    var = pd.DataFrame({"feature_name": [f"G{i}" for i in range(dense.shape[1])]}, index=genes)
    x = parts.get("x", sp.csr_matrix(dense.astype(np.float32)))
    return ad.AnnData(x, obs=labels.copy(), var=var)


@pytest.fixture(scope="module")
def plain_store(tmp_path_factory, dense, labels) -> Path:
    path = tmp_path_factory.mktemp("soma") / "store"
    soma_io.from_anndata(str(path), annotated(dense, labels), "RNA", X_layer_name="raw")
    return path


@pytest.fixture(scope="module")
def census(tmp_path_factory, dense, labels) -> Path:
    """A store laid out as the Census is; the last five genes are unknown to the first dataset."""
    path = tmp_path_factory.mktemp("census") / "soma"
    with tiledbsoma.Collection.create(str(path)) as root:
        info = root.add_new_collection("census_info")
        table = pa.table({"soma_joinid": [0, 1, 2], "dataset_id": ["other", "first", "second"]})
        made = info.add_new_dataframe(
            "datasets", schema=table.schema, index_column_names=["soma_joinid"], domain=[(0, 2)]
        )
        made.write(table)
        data = root.add_new_collection("census_data")
        data.add_new_collection("homo_sapiens", kind=tiledbsoma.Experiment).close()
        place = path / "census_data" / "homo_sapiens"
    shutil.rmtree(place)
    made = annotated(dense, labels)
    made.var = made.var.assign(feature_id=made.var.index).reset_index(drop=True)
    soma_io.from_anndata(str(place), made, "RNA", X_layer_name="raw")
    with tiledbsoma.Experiment.open(str(place), "w") as experiment:
        presence = experiment.ms["RNA"].add_new_sparse_ndarray(
            "feature_dataset_presence_matrix", type=pa.uint8(), shape=(3, N_GENES)
        )
        rows = [1] * (N_GENES - 5) + [2] * N_GENES
        columns = [*range(N_GENES - 5), *range(N_GENES)]
        presence.write(
            pa.table(
                {
                    "soma_dim_0": rows,
                    "soma_dim_1": columns,
                    "soma_data": pa.array([1] * len(rows), pa.uint8()),
                }
            )
        )
    return path


@pytest.fixture
def opened(atlas_row) -> Callable[..., OpenAtlas]:
    def run(path: Path, query: str = "", **fields: str) -> OpenAtlas:
        row = atlas_row(format="soma", url=f"soma:{path}{query}", **fields)
        return open_atlas(row, str(path))

    return run


def whole(atlas: OpenAtlas) -> np.ndarray:
    blocks = list(atlas.blocks())
    starts = np.cumsum([0] + [b.shape[0] for _, b in blocks])[:-1]
    assert [s for s, _ in blocks] == starts.tolist()
    return np.vstack([b.toarray() for _, b in blocks])


@pytest.mark.parametrize("limit", [1, 50, 100_000])
@pytest.mark.parametrize("cells_at_once", [1, 7, 512])
def test_a_local_experiment(plain_store, opened, dense, labels, limit, cells_at_once, monkeypatch):
    monkeypatch.setattr(base, "BLOCK_VALUES", limit)
    monkeypatch.setattr(soma, "_FIRST_CELLS", cells_at_once)
    atlas = opened(plain_store, "?is_primary_data=true")
    kept = labels["is_primary_data"].to_numpy()
    assert np.array_equal(whole(atlas), dense[kept])
    assert atlas.counts == "RNA/raw"
    assert atlas.cells["cell"].tolist() == labels.index[kept].tolist()
    assert atlas.cells["donor_id"].astype(str).tolist() == labels["donor_id"][kept].tolist()
    assert atlas.gene_ids[:2] == ["ENSG00000000000", "ENSG00000000001"]
    assert atlas.gene_symbols[:2] == ["G0", "G1"]
    atlas.peek()
    part = list(atlas.rows(7, 31))
    assert part[0].start == 7
    assert sum(len(b.indptr) - 1 for b in part) == 24


@pytest.mark.parametrize("n_shards", [1, 3])
def test_through_the_profile(plain_store, census, dense, labels, reader, n_shards):
    primary = labels["is_primary_data"].to_numpy()
    for store, expected in ((plain_store, dense[primary]), (census, dense[primary][:, :-5])):
        fields = {"format": "soma", "url": f"soma:{store}"}
        reader.same(store, expected, n_shards, **fields)


@pytest.mark.parametrize(
    ("query", "keeps"),
    [
        ("?tissue=bone+marrow", lambda t: t["tissue"] == "bone marrow"),
        ("?tissue=bone+marrow&tissue=blood", lambda t: t["tissue"] != ""),
        ("?disease_ontology_term_id=MONDO:0009693", lambda t: np.arange(len(t)) % 3 == 0),
        (
            "?disease_ontology_term_id=MONDO:0100096&tissue=blood",
            lambda t: (np.arange(len(t)) % 3 == 0) & (t["tissue"] == "blood"),
        ),
        ("?batch=b%271", lambda t: t["batch"] == "b'1"),
        ("?n_counts=3&n_counts=9", lambda t: t["n_counts"].isin([3, 9])),
    ],
)
def test_the_filter_is_answered_by_the_store(plain_store, opened, labels, dense, query, keeps):
    atlas = opened(plain_store, query)
    kept = np.asarray(keeps(labels)) & labels["is_primary_data"].to_numpy()
    assert atlas.cells["cell"].tolist() == labels.index[kept].tolist()
    assert np.array_equal(whole(atlas), dense[kept])
    assert any("is_primary_data == True" in note for note in atlas.notes)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?tisue=blood", "did you mean 'tissue'"),
        ("?tissue=blod", "no cell has blod\n.*did you mean 'blood'"),
        ("?is_primary_data=maybe", "write true or false"),
        ("?n_counts=many", "write numbers"),
        ("?batch=none", "no cell has none"),
        ("?batch=b%271&batch=none", "no cell has none"),
        ("?n_counts=999", "no cell passes the filter"),
        ("?n_counts=-1", "cannot ask for less than 0"),
        ("?batch=%27%5D+or+True+or+batch+in+%5B%27", r"no cell has '\] or True or batch in"),
    ],
)
def test_filters_that_find_nothing(plain_store, opened, query, says):
    with pytest.raises(AtlasError, match=says):
        opened(plain_store, query)


def test_all_problems_of_a_filter_at_once(plain_store, opened):
    with pytest.raises(AtlasError) as caught:
        opened(plain_store, "?tisue=blood&n_counts=many")
    assert len(caught.value.problems) == 2


def test_a_census_gives_only_genes_that_all_its_datasets_measured(census, opened, dense, labels):
    primary = labels["is_primary_data"].to_numpy()
    both = opened(census)
    assert len(both.gene_ids) == N_GENES - 5
    assert np.array_equal(whole(both), dense[primary][:, :-5])
    assert any("25 of 30 genes" in note and "2 datasets" in note for note in both.notes)
    one = opened(census, "?dataset_id=second")
    second = (labels["dataset_id"] == "second").to_numpy()
    assert np.array_equal(whole(one), dense[primary & second])
    assert one.gene_ids[-1] == f"ENSG{N_GENES - 1:011d}"


def test_raw_is_found_behind_normalised(tmp_path, opened, dense, labels):
    data = annotated(dense, labels, x=sp.csr_matrix(np.log1p(dense).astype(np.float32)))
    data.raw = annotated(dense, labels)
    soma_io.from_anndata(str(tmp_path / "s"), data, "RNA")
    atlas = opened(tmp_path / "s", "?is_primary_data=true")
    assert atlas.counts == "raw/data"
    assert np.array_equal(whole(atlas), dense[:55])
    with pytest.raises(MatrixError, match="log-normalised"):
        opened(tmp_path / "s", counts="RNA/data").peek()
    with pytest.raises(AtlasError, match="did you mean 'RNA/data'"):
        opened(tmp_path / "s", counts="RNA/dat")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d - 1.0, "negative"),
        (lambda d: np.log1p(d), "log-normalised"),
        (lambda d: np.where(d > 0, np.nan, 0), "not finite"),
    ],
)
def test_values_that_are_no_counts(tmp_path, opened, dense, labels, change, says):
    data = annotated(dense, labels, x=sp.csr_matrix(change(dense).astype(np.float32)))
    soma_io.from_anndata(str(tmp_path / "s"), data, "RNA")
    with pytest.raises(MatrixError, match=says):
        opened(tmp_path / "s")


def test_what_is_no_experiment(tmp_path, opened, census):
    with pytest.raises(AtlasError, match="there is no such folder"):
        opened(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AtlasError, match="cannot be opened as a TileDB-SOMA store"):
        opened(tmp_path / "empty")
    with pytest.raises(AtlasError, match="is no TileDB-SOMA experiment"):
        opened(census / "census_info")


def test_a_store_whose_pieces_are_gone(tmp_path, opened, dense, labels):
    """A copy that broke off must not read as cells without a count."""
    soma_io.from_anndata(str(tmp_path / "s"), annotated(dense, labels), "RNA", X_layer_name="raw")
    values = list((tmp_path / "s/ms/RNA/X/raw/__fragments").rglob("*.tdb"))
    assert values
    for path in values:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AtlasError, match="cannot be (read|opened).*\n.*fetch it again"):
        whole(opened(tmp_path / "s"))


def test_a_read_leaves_no_thread_at_work(plain_store):
    """The parallel merge of TileDB aborts processes at random: see ``_NO_PARALLEL_MERGE``."""
    with soma._experiment(str(plain_store)) as (experiment, _):
        settings = experiment.ms["RNA"].X["raw"].context.tiledb_config
    assert settings["sm.query.sparse_global_order.preprocess_tile_merge"] == "0"


def test_without_the_extra(opened, plain_store, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tiledbsoma", None)
    with pytest.raises(AtlasError, match=r"install the extra: pip install 'targetscore\[census\]'"):
        opened(plain_store)


@pytest.mark.parametrize("release", ["latest", "stable", "2025", "2025-11-08x", "v1"])
def test_a_census_that_changes_under_its_name_is_refused(release):
    with pytest.raises(ValueError, match="no pinned release of the Census.*2025-11-08"):
        parse_store(f"census:{release}?tissue=blood")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("soma:", "a TileDB-SOMA store is"),
        ("/folder", "a TileDB-SOMA store is"),
        ("soma:/a?tissue", "is not column=value"),
        ("soma:/a?tissue=", "no column or no value"),
        ("soma:/a?a-b=c", "no column or no value"),
        ("soma:/a?tissue=bone marrow", "write a space in a value as +"),
    ],
)
def test_urls_that_are_no_store(url, says):
    with pytest.raises(ValueError, match=says):
        parse_store(url)


def test_the_url_of_a_release():
    store = parse_store(f"census:{RELEASE}?tissue=bone+marrow&disease=plasma+cell+myeloma")
    assert store.remote
    assert store.uri.endswith(f"/cell-census/{RELEASE}/soma/")
    assert store.filters == (
        ("disease", ("plasma cell myeloma",)),
        ("tissue", ("bone marrow",)),
    )
