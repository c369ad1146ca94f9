"""Good input that the cases break, and what every case is made of."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

N = 60
GENES = ["TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "CD38", "SDC1", "FCRL5", "CD46", "IL3RA", "CRLF2"]
GENES += [f"GENE{i}" for i in range(90)]


@dataclass(frozen=True)
class Case:
    """One broken input."""

    name: str
    make: Callable[[Path], dict[str, str] | None]
    expected: str | Callable


def counts() -> np.ndarray:
    return np.random.default_rng(3).poisson(1.5, (N, len(GENES)))


def labels(n: int = N, **changes) -> pd.DataFrame:
    """Three patients and three healthy donors; changes replace columns."""
    donors = np.repeat(["P1", "P2", "P3", "H1", "H2", "H3"], n // 6)
    patient = np.char.startswith(donors, "P")
    table = pd.DataFrame(
        {
            "donor_id": donors,
            "cell_type": np.where(np.arange(n) % 2, "plasma cell", "T cell"),
            "tissue": "bone marrow",
            "disease": np.where(patient, "plasma cell myeloma", "normal"),
            "malignancy": np.where(patient & (np.arange(n) % 2 == 1), "malignant", "normal"),
        },
        index=[f"cell{i}" for i in range(n)],
    )
    return table.assign(**changes)


def h5ad(x=None, obs=None, genes=None) -> Callable[[Path], None]:
    """Write an h5ad file with other parts."""

    def make(folder: Path) -> None:
        values = counts() if x is None else x(counts())
        matrix = values if sp.issparse(values) else sp.csr_matrix(values.astype(np.float32))
        table = labels() if obs is None else obs()
        data = ad.AnnData(matrix, obs=table)
        data.var_names = GENES if genes is None else genes(list(GENES))
        data.write_h5ad(folder / "a.h5ad")

    return make


def swap(place: str, value: object) -> Callable[[h5py.File], None]:
    """Put other values into a data set; a function gets the old ones."""

    def edit(file: h5py.File) -> None:
        new = value(file[place][:]) if callable(value) else value
        kept = dict(file[place].attrs)
        del file[place]
        file[place] = new
        file[place].attrs.update(kept)

    return edit


def joined(folder: Path) -> dict[str, str]:
    labels().rename_axis("cell").to_csv(folder / "labels.tsv", sep="\t")
    return {"cell_labels": str(folder / "labels.tsv")}


def lines(name: str, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return edit


def zipped(name: str, cut: int = 0) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        whole = gzip.compress((folder / name).read_bytes())
        (folder / f"{name}.gz").write_bytes(whole[: len(whole) - cut])
        (folder / name).unlink()

    return edit


def kept_all(made, found) -> None:
    """Every cell is there, with the counts that were put in."""
    assert len(made.cells) == N
    assert found.quality["n_counts"].tolist() == counts().sum(1).tolist()
