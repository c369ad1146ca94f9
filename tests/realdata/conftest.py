"""One run of the workflow on real cells, shared by all tests of this folder."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest


def malt_labels(folder: Path) -> pd.DataFrame:
    """Label the lymphoma's cells by their surface antibodies, never by CD19."""
    adt = pd.read_csv(folder / "malt_lymphoma" / "adt_counts.csv.gz", index_col=0)
    kind = pd.Series("B cell", index=adt.index)
    kind[adt["CD14"] >= 100] = "monocyte"
    kind[adt["CD56"] >= 100] = "natural killer cell"
    kind[adt["CD3"] >= 250] = "T cell"
    return pd.DataFrame({"cell": adt.index, "cell_type": kind.to_numpy()})


@pytest.fixture(scope="session")
def real_run(
    realdata: Path, session_project: Callable[[str], Path], snakemake: Callable
) -> tuple[Path, str]:
    """The finished run's folder and what Snakemake printed."""
    folder = session_project("realdata")
    malt_labels(realdata).to_csv(folder / "malt_labels.tsv", sep="\t", index=False)
    done = snakemake(
        folder,
        "--configfile",
        "tests/realdata/config.yaml",
        "--config",
        "indications=[aml_van_galen,malt_lymphoma]",
        TARGETSCORE_REALDATA=str(realdata),
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return folder, done.stdout
