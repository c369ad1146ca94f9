"""The workflow as users run it: end to end, again, after edits, after a kill, on more cores."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

from targetscore import contracts
from targetscore.io import read_json, read_stamp, read_table
from targetscore.simulate import World
from targetscore.simulate.design import donor_truth

pytestmark = pytest.mark.workflow
SCORES = (
    "evidence",
    "toxicity",
    "coverage",
    "shedding",
    "components",
    "ranking",
    "robustness",
    "outranks",
)
# The demo has no empty droplets, and all of its cells pass the limits of quality.
MAY_BE_EMPTY = (contracts.REJECTED, contracts.AMBIENT_RATES, contracts.REMOVED, contracts.LEVELS)


def jobs(output: str) -> set[str]:
    """Names of the rules that a run executed."""
    return set(re.findall(r"^(?:local)?rule (\w+):$", output, re.MULTILINE))


def content(folder: Path) -> dict[str, bytes]:
    """Every result except logs and benchmarks."""
    results = folder / "results"
    return {str(p.relative_to(results)): p.read_bytes() for p in results.rglob("*") if p.is_file()}


@pytest.mark.xdist_group("demo")
def test_demo_ends_in_a_report(demo_run):
    folder, output = demo_run
    page = (folder / "results/report/multiple_myeloma_demo.html").read_text()
    assert "SIMULATED" in page
    assert (folder / "results/report/index.html").is_file()
    assert jobs(output) >= {"simulate_atlas", "ingest_atlas", "profile_shard", "merge_profile"}


@pytest.mark.xdist_group("demo")
def test_every_stage_file_keeps_its_contract_and_is_stamped(demo_run):
    results = demo_run[0] / "results"
    files = {
        c: results
        / c.name.replace("/", "/simulated_myeloma/", 1).replace(
            "score/simulated_myeloma", "score/multiple_myeloma_demo"
        )
        for c in contracts.STAGE_FILES
        # on request only, see test_shards and test_references_run
        if c not in (contracts.PANEL, contracts.REFERENCE_LEVELS)
    }
    for contract, stem in files.items():
        path = stem.with_suffix(".parquet")
        assert len(read_table(path, contract)) or contract in MAY_BE_EMPTY, path
        stamp = read_stamp(path)
        assert stamp["contract"] == contract.name
        assert {"code", "settings", "versions"} <= set(stamp)


@pytest.mark.xdist_group("demo")
def test_simulated_is_said_in_file_table_and_page(demo_run):
    results = demo_run[0] / "results"
    assert list((results / "simulate").glob("*SIMULATED*.h5ad"))
    ranking = pd.read_csv(results / "score/multiple_myeloma_demo/ranking.tsv", sep="\t")
    assert set(ranking["data"]) == {"SIMULATED"}
    summary = read_json(results / "ingest/simulated_myeloma/summary.json")
    assert summary["simulated"] is True
    assert "SIMULATED" in (results / "report/index.html").read_text()


@pytest.mark.xdist_group("demo")
def test_demo_finds_the_truth_it_was_made_from(demo_run):
    """The order checks of specification C8 and D1, D2, D5, D8 on the default world."""
    folder = demo_run[0] / "results/score/multiple_myeloma_demo"
    table = pd.read_csv(folder / "ranking.tsv", sep="\t").set_index("antigen")
    rank = table["rank"]
    assert set(rank.nsmallest(3).index) == {"TNFRSF17", "GPRC5D", "FCRL5"}
    assert max(rank["TNFRSF17"], rank["GPRC5D"]) < rank["SLAMF7"]
    assert rank["SLAMF7"] < min(rank["CD38"], rank["CD19"], rank["SDC1"])
    assert table.loc["TNFRSF17", "shedding_grade"] == "very_high"
    assert table.loc["CD19", "coverage_score"] < 0.1


@pytest.mark.xdist_group("demo")
def test_demo_says_how_sure_its_ranking_is(demo_run):
    folder = demo_run[0] / "results/score/multiple_myeloma_demo"
    table = pd.read_csv(folder / "ranking.tsv", sep="\t").set_index("antigen")
    assert set(table["n_replicates"]) == {500}
    assert (table["rank_lower"] <= table["rank"]).all()
    assert (table["rank"] <= table["rank_upper"]).all()
    assert (table["composite_lower"] < table["composite_upper"]).all()
    for k in (1, 3, 5):
        assert table[f"probability_top{k}"].sum() == pytest.approx(k)
    assert table.loc["TNFRSF17", "probability_top3"] > 0.95
    assert table.loc["CD46", "probability_top5"] == 0
    pairs = read_table(folder / "outranks.parquet", contracts.OUTRANKS)
    won = pairs.astype({"antigen": str, "other": str}).pivot(
        index="antigen", columns="other", values="probability"
    )
    assert (won + won.T).stack().to_numpy() == pytest.approx(1.0)
    assert won.loc["TNFRSF17", "SLAMF7"] > 0.95
    scenarios = read_table(folder / "robustness.parquet", contracts.ROBUSTNESS)
    n = scenarios.groupby("kind", observed=True)["scenario"].nunique().to_dict()
    assert n == {
        "as_configured": 1,
        "atlas_left_out": 1,
        "patient_left_out": 8,
        "threshold": 24,
        "dropout_dispersion": 2,
        "doublets_left_out": 1,
    }
    assert len(scenarios) == 8 * sum(n.values())
    assert set(scenarios.loc[scenarios["kind"] == "doublets_left_out", "scenario"]) == {
        "without flagged doublets"
    }
    unscored = scenarios[scenarios["composite_score"].isna()]
    assert set(unscored["kind"]) == {"atlas_left_out"}, "the demo has one atlas only"


@pytest.mark.xdist_group("demo")
def test_demo_flags_doublets_and_says_what_it_did_not_assess(demo_run):
    folder = demo_run[0] / "results/ingest/simulated_myeloma"
    scores = read_table(folder / "doublets.parquet", contracts.DOUBLETS)
    called = scores["flagged"].notna()
    flagged = scores["flagged"].astype("boolean").fillna(False).to_numpy(bool)
    summary = read_json(folder / "samples.json")["doublets"]
    assert summary["n_flagged"] == flagged.sum()
    assert summary["n_with_call"] == called.sum() < len(scores)
    assert scores.loc[~called, "reason"].notna().all()


@pytest.mark.xdist_group("demo")
def test_demo_counts_cells_under_a_wrong_label_and_leaves_none_out(demo_run):
    """Whatever is flagged is a doublet that the simulation made; every cell passes the limits."""
    folder = demo_run[0]
    ingest = folder / "results/ingest/simulated_myeloma"
    quality = read_table(ingest / "quality.parquet", contracts.QUALITY)
    said = quality["foreign_programme"].astype(str)
    flagged = quality.loc[~said.isin(["none", "not_assessed"]), "row"]
    assert len(flagged) > 100
    truth = ad.read_h5ad(next((folder / "results/simulate").glob("*.h5ad")), backed="r").obs
    assert truth["simulated_doublet"].iloc[flagged].all()
    assert read_table(ingest / "removed.parquet", contracts.REMOVED).empty
    summary = read_json(ingest / "samples.json")
    assert summary["quality"]["n_removed"] == 0
    assert summary["contamination"]["n_flagged"] == len(flagged)
    page = (folder / "results/report/multiple_myeloma_demo.html").read_text()
    page = re.sub(r"<[^>]+>", "", page)
    for words in ("Left out for quality", "Cells under a wrong label", "programme of plasma cell"):
        assert words in page
    told = subprocess.run(
        [sys.executable, "-m", "targetscore.cli", "explain", "TNFRSF17"]
        + ["--indication", "multiple_myeloma_demo"],
        cwd=folder,
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    table = read_table(ingest / "contamination.parquet", contracts.CONTAMINATION)
    rows = table[
        (table["gene_id"] == "ENSG00000048462") & (table["cell_type"] == "CD14-positive monocyte")
    ]
    for row in rows.to_dict("records"):
        left, still = (
            row["n_cells"] - row["n_flagged"],
            row["n_detected"] - row["n_flagged_detected"],
        )
        assert f"that look like plasma cell in {still} of {left} ({still / left:.3f})" in told
    assert len(rows)


@pytest.mark.xdist_group("demo")
def test_coverage_per_patient_against_the_truth(demo_run):
    """Identifiable fractions are near the truth, the others are lower bounds and say so."""
    path = demo_run[0] / "results/score/multiple_myeloma_demo/coverage.parquet"
    found = read_table(path, contracts.COVERAGE).astype({"donor": str, "antigen": str})
    truth = donor_truth(World())
    truth = truth[truth["label"] == "malignant plasma cell"].rename(
        columns={"symbol": "antigen", "fraction_expressing": "truth"}
    )
    joined = found.merge(truth[["donor", "antigen", "truth"]], on=["donor", "antigen"])
    assert len(joined) == len(found) == 64
    error = joined["fraction"] - joined["truth"]
    sure = joined["identifiable"].astype(bool)
    assert error[sure].abs().max() < 0.2
    assert error[sure].abs().mean() < 0.06
    assert error[~sure].max() < 0.02
    by = joined.set_index(["antigen", "donor"])["fraction"]
    assert by["GPRC5D", "SIM-MM03"] < 0.2
    assert by["TNFRSF17", "SIM-MM06"] < 0.2


@pytest.mark.xdist_group("demo")
def test_second_run_does_nothing(demo_run, snakemake):
    done = snakemake(demo_run[0])
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


@pytest.mark.xdist_group("demo")
def test_check_and_explain(demo_run):
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "targetscore.cli", *arguments],
            cwd=demo_run[0],
            text=True,
            capture_output=True,
            check=False,
        )

    checked = command("check")
    assert checked.returncode == 0, checked.stderr
    assert "no problem found" in checked.stdout
    told = command("explain", "BCMA", "--indication", "multiple_myeloma_demo")
    assert told.returncode == 0, told.stderr
    assert "SIMULATED" in told.stdout
    table = pd.read_csv(
        demo_run[0] / "results/score/multiple_myeloma_demo/ranking.tsv", sep="\t"
    ).set_index("antigen")
    assert f"composite {table.loc['TNFRSF17', 'composite_score']:.4f}" in told.stdout
    assert "resampled 500 times" in told.stdout
    assert f"first 3 {table.loc['TNFRSF17', 'probability_top3']:.3f}" in told.stdout
    assert "patient left out: rank 2 in " in told.stdout
    parts = [line for line in told.stdout.splitlines() if re.search(r" \^ 0\.\d\d = ", line)]
    powers = [float(line.rsplit("= ", 1)[1]) for line in parts]
    assert len(powers) == 5
    product = 1.0
    for power in powers:
        product *= power
    assert product == pytest.approx(table.loc["TNFRSF17", "composite_score"], abs=1e-3)
    unknown = command("explain", "CS1", "--indication", "multiple_myeloma_demo")
    assert unknown.returncode == 1
    assert "ITPRID2" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_editing_one_indication_runs_that_one_only(small, snakemake):
    source = small / "config/indications/multiple_myeloma_demo.yaml"
    twin = source.with_name("twin.yaml")
    twin.write_text(source.read_text())
    (small / "config/config.yaml").write_text("indications: [multiple_myeloma_demo, twin]\n")
    assert snakemake(small).returncode == 0
    before = content(small)
    twin.write_text(twin.read_text().replace("BCMA, ", ""))
    done = snakemake(small)
    assert jobs(done.stdout) - {"all"} == {"score_indication", "render_report", "render_index"}
    assert "indication: multiple_myeloma_demo" not in done.stdout.replace("wildcards: ", "")
    after = content(small)
    changed = {k for k in after if after[k] != before.get(k)}
    assert changed
    assert all("twin" in k or k == "report/index.html" for k in changed)


def test_editing_the_score_runs_score_and_report_only(small, snakemake, repository):
    (small / "src").unlink()
    shutil.copytree(repository / "src", small / "src")
    own = {"PYTHONPATH": str(small / "src")}
    assert snakemake(small, **own).returncode == 0
    module = small / "src/targetscore/score/composite.py"
    module.write_text(module.read_text() + "\n# edited\n")
    done = snakemake(small, **own)
    assert jobs(done.stdout) - {"all"} == {"score_indication", "render_report", "render_index"}


def test_cores_do_not_change_a_byte(small, snakemake):
    assert snakemake(small, cores=1).returncode == 0
    one = content(small)
    shutil.rmtree(small / "results")
    assert snakemake(small, cores=4).returncode == 0
    assert content(small) == one


@pytest.mark.parametrize("rule", ["simulate_atlas", "profile_shard", "merge_profile"])
def test_killed_run_resumes_to_the_same_bytes(small, snakemake, rule):
    """kill -9 of the whole run while a rule works; then the same command again."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    process = subprocess.Popen(
        command, cwd=small, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    logs, deadline = small / "logs" / rule, time.monotonic() + 120
    while not any(logs.glob("*.log")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert any(logs.glob("*.log")), "the rule never started"
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    again = snakemake(small, "--rerun-incomplete")
    if "LockException" in again.stdout:
        assert snakemake(small, "--unlock").returncode == 0
        again = snakemake(small, "--rerun-incomplete")
    assert again.returncode == 0, again.stdout[-3000:]
    resumed = content(small)
    shutil.rmtree(small / "results")
    assert snakemake(small).returncode == 0
    fresh = content(small)
    assert resumed == fresh
