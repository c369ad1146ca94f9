"""Doublets that a test put into an atlas: flagged, kept, and left out in a scenario."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from targetscore.contracts import DOUBLETS, EXPRESSION, GENES, GROUPS, ROBUSTNESS
from targetscore.io import read_json, read_table
from targetscore.simulate import World, write_world

pytestmark = pytest.mark.workflow
ATLAS = "simulated_myeloma"
SHARE = 0.08
LYMPHOID = "T cell|natural killer"


def jobs(output: str) -> set[str]:
    return set(re.findall(r"^(?:local)?rule (\w+):$", output, re.MULTILINE))


def inject(path) -> np.ndarray:
    """Add another cell of the same sample to one of twelve cells; return which they are."""
    data = ad.read_h5ad(path)
    rng = np.random.default_rng(0)
    n = data.n_obs
    doublet = rng.random(n) < SHARE
    partner = np.zeros(n, dtype=np.int64)
    for rows in data.obs.groupby("sample_id", observed=True).indices.values():
        partner[rows] = rng.choice(rows, len(rows))
    counts = data.X.tocsr()
    place = (np.flatnonzero(doublet), partner[doublet])
    added = sp.csr_matrix((np.ones(doublet.sum(), np.float32), place), shape=(n, n)) @ counts
    data.X = (counts + added).astype(np.float32)
    data.write_h5ad(path)
    return doublet


@pytest.fixture
def doubled(project):
    """A project whose atlas is a marrow world with doublets, and which cells they are."""
    world = World(patients=3, healthy_donors=3, doublets=0, compartments=("marrow",))
    path = project / "doubled.h5ad"
    write_world(world, path)
    single = ad.read_h5ad(path)
    single = single[single.obs["cell_type"].str.contains(LYMPHOID)]
    clean = pd.Series(single.X.getnnz(axis=0) / single.n_obs, index=single.var["feature_name"])
    truth = inject(path)
    registry = project / "config/atlases.tsv"
    lines = registry.read_text().splitlines()
    row = next(line for line in lines if line.startswith(ATLAS))
    head = next(line for line in lines if not line.startswith("#"))
    registry.write_text(
        "\n".join([head, row.replace("simulate:myeloma?seed=1\t", "doubled.h5ad\t")]) + "\n"
    )
    return project, truth, clean


def detected(results, without_flagged: bool) -> pd.Series:
    """Share of T and NK cells that show each antigen, from the profile."""
    folder = results / f"profile/{ATLAS}"
    groups = read_table(folder / "groups.parquet", GROUPS)
    use = groups["cell_type"].str.contains(LYMPHOID)
    if without_flagged:
        use &= groups["doublet"] != "yes"
    groups = groups[use]
    rows = read_table(folder / "expression.parquet", EXPRESSION)
    genes = read_table(results / f"ingest/{ATLAS}/genes.parquet", GENES)
    names = genes.set_index("gene_id")["symbol"]
    rows = rows[rows["group_id"].isin(groups["group_id"])]
    seen = rows.groupby(rows["gene_id"].map(names).astype(str))["n_detected"].sum()
    return seen / groups["n_cells"].sum()


def test_flagged_doublets_leave_in_a_scenario_and_the_switch_reads_no_label(doubled, snakemake):
    project, truth, clean = doubled
    done = snakemake(project)
    assert done.returncode == 0, done.stdout[-4000:]
    results = project / "results"
    scores = read_table(results / f"ingest/{ATLAS}/doublets.parquet", DOUBLETS)
    flagged = scores["flagged"].astype("boolean").fillna(False).to_numpy(bool)
    is_doublet = truth[scores["row"]]
    assert flagged[is_doublet].mean() > 0.5
    assert flagged[~is_doublet].mean() < 0.05

    faked, left = detected(results, False), detected(results, True)
    for antigen in ("TNFRSF17", "SLAMF7"):
        shares = [float(share.get(antigen, 0.0)) for share in (clean, left, faked)]
        print(antigen, "on T and NK cells: single, without flagged, all", shares)
        true, after, before = shares
        assert before - true > 0.005, "the doublets fake it"
        assert after - true < 0.65 * (before - true)

    summary = read_json(results / f"ingest/{ATLAS}/samples.json")
    assert summary["doublets"]["n_flagged"] == flagged.sum()
    log = (project / f"logs/assess_samples/{ATLAS}.log").read_text()
    assert f"{flagged.sum():,} of {summary['doublets']['n_with_call']:,} cells flagged" in log

    path = results / "score/multiple_myeloma_demo/robustness.parquet"
    rows = read_table(path, ROBUSTNESS).astype({"kind": str, "antigen": str})
    composite = rows.pivot_table(
        index="antigen", columns="kind", values="composite_score", aggfunc="first"
    )
    assert (
        composite.loc["TNFRSF17", "doublets_left_out"] > composite.loc["TNFRSF17", "as_configured"]
    )
    assert rows.loc[rows["kind"] == "doublets_left_out", "rank"].notna().any()

    config = project / "config/config.yaml"
    config.write_text(config.read_text() + "ingest: {doublets: false}\n")
    done = snakemake(project)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "ingest_atlas" not in jobs(done.stdout)
    assert {"assess_samples", "score_indication", "render_report"} <= jobs(done.stdout)
    off = read_table(results / f"ingest/{ATLAS}/doublets.parquet", DOUBLETS)
    assert set(off["reason"]) == {"not assessed: switched off (ingest.doublets)"}
    rows = read_table(path, ROBUSTNESS)
    assert "doublets_left_out" not in set(rows["kind"])
    now = rows[rows["kind"] == "as_configured"].set_index("antigen")["composite_score"]
    assert now.to_dict() == pytest.approx(composite["as_configured"].to_dict(), rel=1e-12)
