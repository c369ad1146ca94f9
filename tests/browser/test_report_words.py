"""What a report says: gaps, bounds, the verdict, the worst group, the rules; no browser needed."""

import dataclasses
import re
from types import SimpleNamespace

import pandas as pd
import pytest

from targetscore.report import render_report
from targetscore.report.dossier import must_check
from targetscore.report.text import VERDICT_WORDS, rounded


def test_gaps_reported_in_the_literature_come_first_and_strong_before_contested(html, data):
    table = re.search(r'<table id="reported">.*?</table>', html, flags=re.S)[0]
    strengths = re.findall(r"<td>(strong|contested)</td>", table)
    rows = data.evidence[data.evidence["suspension"] == "none"]
    assert len(strengths) == rows["literature"].notna().sum()
    assert len(strengths) < data.evidence["literature"].notna().sum()
    assert strengths == sorted(strengths, key=("strong", "contested").index)


def text_of(html):
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", "", html))


def test_each_tier_row_is_counted_once_and_as_in_the_ranking(html, data):
    wanted = set(data.ranking["n_gaps"])
    assert len(wanted) == 1
    n, rows = wanted.pop(), len(data.knowledge.tissue_tiers)
    assert f"Everything that was not assessed ({n} of {rows} rows" in text_of(html)
    table = re.search(r'<table id="unassessed">.*?</table>', html, flags=re.S)[0]
    assert len(re.findall("<tr>", table)) - 1 == n
    thin = data.evidence[(data.evidence["suspension"] != "none") & (data.evidence["n_cells"] == 12)]
    assert thin["cell_type"].nunique() > 0
    assert table.count("too few (") == thin["cell_type"].nunique()
    assert f"{n} of {rows}" in text_of(re.search(r'<table id="ranking".*?</table>', html, re.S)[0])


def test_antigens_with_different_gaps_give_a_range(data):
    lost = data.evidence["suspension"].eq("none") & data.evidence["antigen"].eq("GPRC5D")
    evidence = data.evidence.drop(index=data.evidence.index[lost][:2])
    page = text_of(render_report(dataclasses.replace(data, evidence=evidence)))
    most = int(data.ranking["n_gaps"].iloc[0])
    assert f"not assessed ({most - 2} to {most}, by antigen, of" in page


def test_a_thin_group_without_a_gap_row_is_told_but_not_counted(data):
    thin = data.evidence["n_cells"] == 12
    evidence = data.evidence.assign(
        tier_label=data.evidence["tier_label"].where(~thin, "a row others assess")
    )
    page = text_of(render_report(dataclasses.replace(data, evidence=evidence)))
    assert "Not counted above, because" in page
    assert f"not assessed ({data.ranking['n_gaps'].iloc[0]} of" in page
    assert "Not counted above" not in text_of(render_report(data))


def test_lower_bounds_are_marked_wherever_a_share_is_shown(html, data):
    table = re.search(r'<table id="ranking".*?</table>', html, flags=re.S)[0]
    rows = re.findall(r'<tr data-antigen="([^"]*)".*?</tr>', table, flags=re.S)
    assert len(rows) == 5
    for row in re.findall(r"<tr data-antigen.*?</tr>", table, flags=re.S):
        known = 'data-antigen="GPRC5D"' in row
        for column in ("fraction_expressing", "share_patients_above_half"):
            assert (f'≥ <span data-column="{column}"' in row) is not known
        assert ("3 of 11 patients are lower bounds" in text_of(row)) is not known
    for antigen, known in (("TNFRSF17", False), ("GPRC5D", True)):
        dossier = text_of(html[html.index(f'id="antigen-{antigen}"') :].split("</section>")[0])
        assert ("10th percentile of the patients ≥" in dossier) is not known
        assert ("3 of 11 patients are lower bounds" in dossier) is not known


def test_escape_is_called_only_where_dropout_was_corrected(data):
    coverage = data.coverage.assign(fraction=0.1)
    page = render_report(dataclasses.replace(data, coverage=coverage))
    strips = re.search(r'<table id="strips".*?</table>', page, flags=re.S)[0]
    rows = {
        re.search(r"#antigen-([\w-]+)", r)[1]: r.split("</svg></td>")[1]
        for r in re.findall(r'<tr><th scope="row".*?</tr>', strips, flags=re.S)
    }
    escaped, unsure = text_of(rows["TNFRSF17"]).split("cannot be said:")
    for p in range(12):
        assert (f"P{p:02d}" in escaped) == (p % 5 != 0 and p != 3)
        assert (f"P{p:02d}" in unsure) == (p % 5 == 0)
    assert unsure.count("lower bound 10") == 3
    assert "8 of 11" in escaped
    assert "11 of 11" in text_of(rows["GPRC5D"])
    assert "cannot be said" not in rows["GPRC5D"]
    table = re.search(r'<table id="patient-table".*?</table>', page, flags=re.S)[0]
    for row in re.findall(r'<tr><th scope="row".*?</tr>', table, flags=re.S):
        p = int(re.search(r"P(\d\d)", row)[1])
        cell = row.split('data-column="fraction"')[1].split("</td>")[0]
        assert ("≥" in cell) == (p % 5 == 0)
        assert ("#i-concern" in cell) == (p % 5 != 0 and p != 3)


def verdict_of(data, **changes):
    ranking = data.ranking.assign(**changes)
    page = render_report(dataclasses.replace(data, ranking=ranking))
    return text_of(re.search(r'<section id="verdict".*?<p class="tool"', page, flags=re.S)[0])


def test_only_antigens_that_reach_the_patients_follow(data):
    shares = [0.9, 0.4, 0.5, 0.6, 0.0, 0.0]
    said = verdict_of(data, share_patients_above_half=shares, n_identifiable=11)
    assert "followed by CS1 (SLAMF7) (0.67, rank 3) and CD38" in re.sub(
        r"\(0\.\d\d,", "(0.67,", said
    )
    assert "3 of 5 ranked antigens are on at least half of the diseased cells" in said
    assert "no other antigen" not in said
    assert "leave it open" not in said
    said = verdict_of(data, share_patients_above_half=[0.9] + [0.3] * 5, n_identifiable=11)
    assert "followed by" not in said
    assert "no other antigen reaches that." in said
    said = verdict_of(data, share_patients_above_half=[0.9] + [0.3] * 5, n_identifiable=8)
    assert "(for 4 of the others lower bounds leave it open)" in said
    said = verdict_of(data, share_patients_above_half=0.1, n_identifiable=11)
    assert "BCMA (TNFRSF17) is not one of them" not in said
    assert "0 of 5 ranked antigens are" in said


def test_the_worst_group_is_told_with_cells_donors_and_bound(data, html):
    best = data.ranking.iloc[0]
    own = data.evidence[data.evidence["antigen"] == best["antigen"]]
    row = own[own["cell_type"] == best["worst_cell_type"]].iloc[0]
    said = text_of(re.search(r'<p class="verdict-text" id="worst-group".*?</p>', html, re.S)[0])
    upper = rounded(row["fraction_expressing_upper"], "percent")
    seen = f"{rounded(row['n_detected'], 'count')} of {rounded(row['n_cells'], 'count')} cells"
    assert f"({seen} of {row['n_donors']} donor" in said
    assert f"no more than {upper})" in said


def test_a_worst_group_without_positive_cells_gives_its_bound(data):
    zero = data.evidence[
        data.evidence["antigen"].eq("TNFRSF17") & data.evidence["n_detected"].eq(0)
    ]
    row = zero.iloc[0]
    said = verdict_of(
        data,
        worst_cell_type=row["cell_type"],
        worst_tissue=row["tissue"],
        worst_verdict=row["verdict"],
        worst_tier=row["tier"],
    )
    upper = rounded(row["fraction_expressing_upper"], "percent")
    size = f"{rounded(row['n_cells'], 'count')} cells of {row['n_donors']} donor"
    assert f"(no positive cell, no more than {upper} of {size}" in said


def test_a_gap_that_costs_most_is_told_with_its_source(data):
    gap = data.evidence[
        data.evidence["antigen"].eq("TNFRSF17")
        & data.evidence["literature"].notna()
        & data.evidence["literature_source"].str.endswith("[mixed]")
    ].iloc[0]
    said = verdict_of(
        data,
        worst_cell_type=gap["cell_type"],
        worst_tissue=gap["tissue"],
        worst_verdict="not_assessed",
        worst_tier=1,
    )
    wanted = (
        "not assessed; the literature reports expression (Roe 2021 &lt;b&gt; (in part recalled,"
    )
    assert wanted in said


def test_concern_in_vital_tissue_claims_no_more_than_rna_shows(data):
    said = verdict_of(data, worst_verdict="concern", worst_tier=1)
    assert "RNA places it on vital or hardly replaceable healthy cells" in said
    assert "whether the protein is there was not measured" in said
    assert "kill" not in said


def test_weak_evidence_is_marked_by_words_as_well_as_grey(data, html):
    table = re.search(r'<table id="ranking".*?</table>', html, flags=re.S)[0]
    rows = re.findall(r"<tr data-antigen.*?</tr>", table, flags=re.S)
    weak = [r for r in rows if 'class="weak"' in r]
    assert (
        len(weak) == (data.ranking["evidence_grade"].eq("D") & data.ranking["rank"].notna()).sum()
    )
    assert len(weak) == 1
    assert "grade D: least evidence" in weak[0]
    assert ["of what was" in r for r in rows] == ['class="weak"' in r for r in rows]
    many = len(data.knowledge.tissue_tiers) // 2 + 1
    page = render_report(dataclasses.replace(data, ranking=data.ranking.assign(n_gaps=many)))
    table = re.search(r'<table id="ranking".*?</table>', page, flags=re.S)[0]
    assert table.count("of what was") == 5


def test_columns_stand_in_the_order_of_what_matters(html, data):
    table = re.search(r'<table id="ranking".*?</table>', html, flags=re.S)[0]
    heads = [text_of(h) for h in re.findall(r"<th scope=\"col\".*?</th>", table)]
    assert heads == [
        "Rank",
        "Antigen",
        "Composite, 90 % interval",
        "Rank, resampled",
        "Among first 3",
        "Healthy tissue",
        "Worst healthy cell type",
        "Coverage",
        "Specificity",
        "Surface",
        "Shedding",
        "Evidence",
        "Gaps",
    ]


def test_a_control_is_called_one_where_it_stands(html):
    assert html.count("control: known toxic") == 1
    table = re.search(r'<table id="ranking".*?</table>', html, flags=re.S)[0]
    rows = re.findall(r"<tr data-antigen.*?</tr>", table, flags=re.S)
    assert ["control: known toxic" in r for r in rows] == ['"CD38"' in r for r in rows]


def test_cells_to_check_stand_with_the_verdict_of_this_run(html, data):
    table = re.search(r'<table class="must">.*?</table>', html, flags=re.S)[0]
    assert html.count('<table class="must">') == 1
    rows = [text_of(r) for r in re.findall(r"<tr><th scope=\"row\">.*?</tr>", table, flags=re.S)]
    wanted = data.knowledge.healthy_literature.query("must_check == 'yes'")
    assert len(rows) == len(wanted) == 2
    assert "recalled, not checked" in rows[1]
    for row, label in zip(rows, wanted["tier_label"], strict=True):
        own = data.evidence[data.evidence["tier_label"].eq(label)]
        own = own[own["antigen"] == "TNFRSF17"]
        assert label in row
        assert VERDICT_WORDS[own["verdict"].iloc[0]] in row


def test_a_finer_group_speaks_for_a_row_and_a_gap_never_outranks_it(invented):
    """CD8 memory cells (CL:0000909) are T cells (CL:0000084), hepatocytes are not."""
    base = {"tissue_id": "UBERON:0000178", "tier_label": None, "harm": 0.0, "n_cells": 100}
    base |= {"suspension": "cell"}
    knowledge = SimpleNamespace(
        tissue_tiers=pd.DataFrame(
            [("T cell", "CL:0000084", "UBERON:0000178", "no"), ("liver", "CL:0000182", "", "no")],
            columns=["label", "cell_type_id", "tissue_id", "tissue_required"],
        ),
        healthy_literature=pd.DataFrame(
            [("X", "T cell", "yes"), ("X", "liver", "yes"), ("Y", "liver", "yes")],
            columns=["symbol", "tier_label", "must_check"],
        ),
    )
    rows = [
        {**base, "cell_type_id": "CL:0000909", "verdict": "possible"},
        {**base, "cell_type_id": "CL:0000909", "verdict": "clear"},
        {**base, "cell_type_id": "CL:0000182", "verdict": "concern"},
        {**base, "cell_type_id": "CL:0000084", "verdict": "not_assessed", "n_cells": 3},
    ]
    found = must_check(knowledge, SimpleNamespace(symbol="X"), rows)
    assert [(f["tier_label"], f["row"]["verdict"]) for f in found] == [
        ("T cell", "possible"),
        ("liver", "concern"),
    ]
    assert must_check(knowledge, SimpleNamespace(symbol="X"), [])[0]["row"] is None


def test_an_unknown_loss_to_gaps_is_unknown_not_none(html, data):
    unknown = int(data.toxicity["gap_penalty"].isna().sum())
    assert unknown > 0
    assert html.count('<span class="na">unknown</span>') == unknown


def test_a_class_of_tolerated_lineages_is_marked(html):
    table = re.search(r'<table id="classes">.*?</table>', html, flags=re.S)[0]
    rows = [r for r in table.split("<tr>") if "tolerated here" in r]
    assert [("B lineage aplasia" in r) for r in rows] == [True]


def test_donors_without_diseased_cells_are_named(html):
    assert html.count("<bdi>P98, &lt;img src=x onerror=alert(1)&gt;</bdi>") == 2


def test_methods_tell_the_rules_on_gaps_and_strong_reports(html):
    said = text_of(html[html.index('<section id="methods"') :])
    for sentence in (
        "a score from few tissues is a score of few tissues",
        "is never stated better than “possible”",
        "Fewer than 50 cells or 3 donors do not outweigh a strong report",
        "the detection gap is therefore optimistic for weakly expressed antigens",
        "Where free RNA of the sample (up to 5.0",
    ):
        assert sentence in said
    assert "never raises it" not in said
    assert "Seed" not in said


def test_one_is_never_told_in_the_plural(data):
    one = {"n_patients": 1, "n_healthy_donors": 1, "n_replicates": 1}
    evidence = data.evidence.copy()
    seen = evidence["n_cells"] > 0
    evidence.loc[seen, ["n_donors", "n_cells", "n_detected"]] = 1
    evidence.loc[evidence["patients_n_cells"].notna(), "patients_n_cells"] = 1
    evidence.loc[evidence["patients_n_donors"].notna(), "patients_n_donors"] = 1
    looked = {"mode": "report", "n_assessed": 1, "cell_types": []}
    page = render_report(
        dataclasses.replace(
            data,
            ranking=data.ranking.assign(**one),
            components=data.components.assign(n_patients=1, n_identifiable=0, n_healthy_donors=1),
            coverage=data.coverage.assign(n_cells=1),
            evidence=evidence,
            scoring=data.scoring.model_copy(update={"bootstrap": 1}),
            atlases=[{**data.atlases[0], "contamination": looked}, data.atlases[1]],
        )
    )
    said = text_of(page[page.index("<body") :].split("<script")[0])
    nouns = "time|patient|donor|cell|group|level|row|replicate|antigen|tissue|type"
    assert re.findall(rf".{{20}}(?<![\w.–])1 (?:[a-z]+ ){{0,2}}(?:{nouns})s\b", said) == []
    for words in ("1 donor, 1 cell<", "of 1 diseased cell"):
        assert words in page
    for words in ("of 1 replicate", "1 time (", "(1 cell could be assessed"):
        assert words in said


def test_wrong_labels_that_could_not_be_looked_for_are_not_called_absent(data):
    looked = {"mode": "report", "n_assessed": 0, "cell_types": []}
    atlases = [{**data.atlases[0], "contamination": looked}, data.atlases[1]]
    said = text_of(render_report(dataclasses.replace(data, atlases=atlases)))
    assert "not known: no cell could be assessed" in said
    assert "none found" not in said


@pytest.mark.parametrize("reported", [True, False])
def test_a_class_with_a_report_is_never_called_without_one(data, reported):
    """Of a tolerated lineage the report costs nothing, so that only the evidence tells of it."""
    gene = data.ranking["gene_id"].iloc[0]
    of_class = data.evidence["toxicity_class"].eq("B_lineage_aplasia")
    evidence = data.evidence.copy()
    evidence.loc[of_class, "literature"] = "strong" if reported else None
    evidence.loc[of_class, "literature_source"] = "Doe 2020" if reported else None
    toxicity = data.toxicity.copy()
    own = toxicity["gene_id"].eq(gene) & toxicity["toxicity_class"].eq("B_lineage_aplasia")
    assert own.sum() == 1
    toxicity.loc[own, ["n_groups_assessed", "factor", "gap_penalty"]] = [0, 1.0, 0.0]
    toxicity.loc[own, ["gap_label", "harm", "worst_cell_type", "worst_tissue"]] = None
    toxicity.loc[own, "verdict"] = "not_assessed"
    page = render_report(dataclasses.replace(data, evidence=evidence, toxicity=toxicity))
    silent = re.findall(r'<p class="facts silent">(.*?)</p>', page, flags=re.S)
    assert [("B lineage aplasia" in said) for said in silent] == ([] if reported else [True])
