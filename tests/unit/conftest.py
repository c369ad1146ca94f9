"""Small atlases in every format, written by the libraries that publishers use."""

import gzip
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

from targetscore.config import AtlasRow

N_CELLS, N_GENES = 12, 7


@pytest.fixture
def atlas_row() -> Callable[..., AtlasRow]:
    """A registry row; keyword arguments replace its fields."""

    def row(**fields: str) -> AtlasRow:
        basis = {"atlas": "tiny", "kind": "mixed", "format": "h5ad", "version": "1"}
        return AtlasRow(**(basis | {"url": "x", "licence": "CC0"} | fields))

    return row


@pytest.fixture
def counts() -> np.ndarray:
    dense = np.random.default_rng(0).poisson(0.8, (N_CELLS, N_GENES))
    dense[3] = 0
    dense[0, 0] = 300
    return dense


@pytest.fixture
def obs() -> pd.DataFrame:
    n = N_CELLS
    return pd.DataFrame(
        {
            "donor_id": ["P1"] * 6 + ["H1"] * 6,
            "cell_type": ["plasma cell", "T cell"] * 6,
            "tissue": "bone marrow",
            "disease": ["plasma cell myeloma"] * 6 + ["normal"] * 6,
            "malignancy": ["malignant", "normal", "normal", None, "unclear", None] + [None] * 6,
        },
        index=[f"cell{i}" for i in range(n)],
    )


@pytest.fixture
def write_h5ad(tmp_path: Path, counts: np.ndarray, obs: pd.DataFrame) -> Callable[..., Path]:
    """Write an h5ad file; keyword arguments replace its parts."""

    def write(name: str = "a.h5ad", **parts) -> Path:
        genes = [f"ENSG{i:011d}" for i in range(N_GENES)]
        x = parts.pop("X", sp.csr_matrix(counts.astype(np.float32)))
        var = pd.DataFrame({"feature_name": [f"G{i}" for i in range(N_GENES)]}, index=genes)
        data = ad.AnnData(x, obs=parts.pop("obs", obs), var=var)
        if "raw" in parts:
            data.raw = ad.AnnData(parts.pop("raw"), var=var)
        for key, layer in parts.pop("layers", {}).items():
            data.layers[key] = layer
        path = tmp_path / name
        data.write_h5ad(path, compression="gzip")
        return path

    return write


@pytest.fixture
def write_tenx(tmp_path: Path, counts: np.ndarray) -> Callable[..., Path]:
    def write(name: str = "tenx", matrix: np.ndarray | None = None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        dense = counts if matrix is None else matrix
        by_cell = sp.csc_matrix(dense.T)
        scipy.io.mmwrite(folder / "matrix.mtx", by_cell)
        (folder / "barcodes.tsv").write_text("".join(f"cell{i}\n" for i in range(len(dense))))
        lines = [f"ENSG{i:011d}\tG{i}\tGene Expression\n" for i in range(dense.shape[1] - 1)]
        (folder / "features.tsv").write_text("".join([*lines, "CD19\tCD19\tAntibody Capture\n"]))
        return folder

    return write


@pytest.fixture
def write_geo(tmp_path: Path, counts: np.ndarray, obs: pd.DataFrame) -> Callable[..., Path]:
    """Write two samples whose accession numbers differ between matrix and annotation."""

    def write(name: str = "geo", values: np.ndarray | None = None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        dense = counts if values is None else values
        for number, (sample, rows) in enumerate({"B": range(6, 12), "A": range(6)}.items()):
            cells = [f"{sample}_cell{i}" for i in rows]
            table = pd.DataFrame(
                dense[list(rows)].T, index=[f"G{i}" for i in range(N_GENES)], columns=cells
            )
            table.index.name = "Gene"
            with gzip.open(folder / f"GSM{number}_{sample}.dem.txt.gz", "wt") as stream:
                table.to_csv(stream, sep="\t")
            annotation = obs.iloc[list(rows)].set_axis(cells)
            annotation.index.name = "Cell"
            shuffled = annotation.iloc[::-1]
            with gzip.open(folder / f"GSM9{number}_{sample}.anno.txt.gz", "wt") as stream:
                shuffled.to_csv(stream, sep="\t")
        return folder

    return write
