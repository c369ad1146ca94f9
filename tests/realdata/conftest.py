"""One run of the workflow on real cells, and the cells as published, shared by this folder."""

import csv
import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

PANEL = ("CD33", "IL3RA", "CLEC12A", "FLT3", "CD38", "CSF1R", "CD86")
PANEL += ("CD70", "FCRL5", "TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "SDC1")
MASKED = re.compile(
    r"^(IG[HKL][VDJC].*|IGH[ADEGM]\d?P?|IGLL\d.*|JCHAIN|IGJ|MT-.*|RP[SL]\d+[AXYL]{0,2}\d*"
    r"|RPSA|RPLP[012])$"
)


def malt_labels(folder: Path) -> pd.DataFrame:
    """Label the lymphoma's cells by their surface antibodies, never by CD19."""
    adt = pd.read_csv(folder / "malt_lymphoma" / "adt_counts.csv.gz", index_col=0)
    kind = pd.Series("B cell", index=adt.index)
    kind[adt["CD14"] >= 100] = "monocyte"
    kind[adt["CD56"] >= 100] = "natural killer cell"
    kind[adt["CD3"] >= 250] = "T cell"
    return pd.DataFrame({"cell": adt.index, "cell_type": kind.to_numpy()})


def write_clone(folder: Path, path: Path) -> None:
    """Write the published table of forty plasma cells as users have theirs."""
    counts = pd.read_csv(folder / "myeloma_clone" / "counts.tsv.gz", sep="\t", index_col=0)
    data = ad.AnnData(sp.csr_matrix(counts.to_numpy(np.float32).T))
    data.obs_names, data.var_names = counts.columns, counts.index
    data.write_h5ad(path)


@pytest.fixture(scope="session")
def real_run(
    realdata: Path, session_project: Callable[[str], Path], snakemake: Callable
) -> tuple[Path, str]:
    """The finished run's folder and what Snakemake printed."""
    folder = session_project("realdata")
    malt_labels(realdata).to_csv(folder / "malt_labels.tsv", sep="\t", index=False)
    write_clone(realdata, folder / "myeloma_clone.h5ad")
    done = snakemake(
        folder,
        "--configfile",
        "tests/realdata/config.yaml",
        "--config",
        "indications=[aml_van_galen,malt_lymphoma,myeloma_clone]",
        TARGETSCORE_REALDATA=str(realdata),
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return folder, done.stdout


@pytest.fixture(scope="session")
def explained(real_run, realdata: Path) -> Callable[..., str]:
    """What ``targetscore explain`` prints of an antigen."""

    def tell(antigen: str, indication: str = "aml_van_galen") -> str:
        command = [sys.executable, "-m", "targetscore.cli", "explain", antigen]
        command += ["--indication", indication, "--configfile", "tests/realdata/config.yaml"]
        done = subprocess.run(
            command,
            cwd=real_run[0],
            env=os.environ | {"TARGETSCORE_REALDATA": str(realdata)},
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return tell


@pytest.fixture(scope="session")
def is_left_out() -> Callable[[str], bool]:
    """Whether a gene is no part of the library size (C0), told apart from the program."""
    return lambda gene: bool(MASKED.match(gene)) and gene != "IGHMBP2"


@pytest.fixture(scope="session")
def aml_cells(realdata: Path, is_left_out: Callable[[str], bool]) -> pd.DataFrame:
    """Every leukaemia and marrow cell from GEO's own text: labels, panel counts, library sizes.

    ``total`` is the column sum, ``library`` the same without masked genes.
    """
    tables = []
    folder = realdata / "aml_van_galen"
    for anno in sorted(folder.glob("*.anno.txt.gz")):
        sample = anno.name.split("_", 1)[1].removesuffix(".anno.txt.gz")
        (dem,) = folder.glob(f"*_{sample}.dem.txt.gz")
        with gzip.open(dem, "rt") as stream:
            cells = stream.readline().rstrip("\n").split("\t")[1:]
            total = np.zeros(len(cells), dtype=np.int64)
            library, found = total.copy(), {}
            for line in stream:
                gene, values = line.split("\t", 1)
                counts = np.array(values.split("\t"), dtype=np.int64)
                total += counts
                library += 0 if is_left_out(gene) else counts
                if gene in PANEL:
                    found[gene] = counts
        with gzip.open(anno, "rt") as stream:
            labels = {r["Cell"]: r for r in csv.DictReader(stream, delimiter="\t")}
        table = pd.DataFrame({"cell": cells, "sample": sample, "total": total, "library": library})
        for column in ("CellType", "PredictionRefined", "TranscriptomeUMIs"):
            table[column] = [labels[c][column] for c in cells]
        tables.append(table.assign(**found))
    return pd.concat(tables, ignore_index=True)
