"""The score of one antigen in the terminal, part by part, so that it can be redone by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log10, prod
from pathlib import Path
from textwrap import wrap
from typing import Any

import pandas as pd

from targetscore.config import Indication, Scoring
from targetscore.contracts import (
    COMPONENTS,
    EVIDENCE,
    INTERVAL_CAVEATS,
    LEVELS,
    OUTRANKS,
    RANKING,
    ROBUSTNESS,
    SHEDDING,
    TOXICITY,
)
from targetscore.contracts_cells import CONTAMINATION
from targetscore.errors import ConfigError, listed, plain
from targetscore.genes import GeneTable
from targetscore.io import read_json, read_table
from targetscore.report.levels import levels as drawn_levels
from targetscore.report.standing import Neighbours, neighbours, standing
from targetscore.report.text import noun, of_count, records, source_words

_HEALTHY_CAVEAT, _COVERAGE_CAVEAT = INTERVAL_CAVEATS
_WORST = 8
_NAMED = 3
_STANDING = {
    "settled": "above {other} in {share} of the replicates: settled",
    "likely": "above {other} in {share} of the replicates: likely, not settled",
    "level": "cannot be told apart from {other}: above it in {share} of the replicates",
    "reversed": "below {other} in most replicates: above it in {share}",
}


def explain(
    name: str, indication: Indication, genes: GeneTable, folder: str, scoring: Scoring
) -> str:
    """Return the score of one antigen as text.

    Parameters
    ----------
    name
        Symbol, alias or Ensembl id.
    indication
        The indication it was scored for.
    genes
        Names of genes.
    folder
        Folder with the score tables of the indication.
    scoring
        Parameters the tables were made with.

    Raises
    ------
    GeneError
        If the name is unknown or ambiguous.
    ConfigError
        If the indication was not run yet or the antigen is not on its panel.
    """
    gene = genes.resolve(name, "command line", "antigen", indication.candidates.context)
    if not (Path(folder) / "components.parquet").is_file():
        remedy = "run it first: snakemake --cores 2"
        raise ConfigError.one(folder, "", "there are no scores of this indication yet", remedy)
    components = read_table(f"{folder}/components.parquet", COMPONENTS)
    own = components[components["gene_id"] == gene.gene_id]
    if own.empty:
        scored = ", ".join(sorted(components["antigen"].astype(str)))
        remedy = f"add it to candidates.panel and run again; scored: {scored}"
        raise ConfigError.one(folder, gene.symbol, "was not scored for this indication", remedy)
    ranking = read_table(f"{folder}/ranking.parquet", RANKING)
    rank = ranking.loc[ranking["gene_id"] == gene.gene_id].iloc[0]
    tables = {
        contract.name: read_table(f"{folder}/{contract.name.split('/')[1]}.parquet", contract)
        for contract in (EVIDENCE, TOXICITY, SHEDDING, ROBUSTNESS, OUTRANKS)
    }
    # Results from before there were references have no such file.
    kept = Path(folder, "levels.parquet")
    tables["score/levels"] = read_table(kept, LEVELS) if kept.is_file() else LEVELS.empty()
    parts = {k: t[t["gene_id"] == gene.gene_id] for k, t in tables.items()}
    _refuse_other_weights(own.iloc[0], scoring, folder)
    ranked = records(ranking[ranking["rank"].notna()].sort_values("rank", kind="stable"))
    pairs = neighbours(ranked, tables["score/outranks"])
    beside = [p for p in pairs if gene.gene_id in (p.first["gene_id"], p.second["gene_id"])]
    sections = [
        _head(own.iloc[0], rank, int((ranking["status"] == "ranked").sum()), indication),
        _uncertainty(rank, beside, parts["score/outranks"], parts["score/robustness"]),
        _composite(own.iloc[0], scoring),
        _specificity(own.iloc[0], scoring),
        _coverage(own.iloc[0], scoring),
        _safety(own.iloc[0], parts["score/toxicity"], parts["score/evidence"]),
        _wrong_labels(gene.gene_id, indication.atlases, Path(folder).parents[1] / "ingest"),
        _levels(parts["score/levels"], gene.gene_id),
        _shedding(parts["score/shedding"], own.iloc[0]),
    ]
    return "\n\n".join(text for lines in sections if (text := "\n".join(lines)))


def _number(value: Any, digits: int = 3) -> str:
    return "NA" if pd.isna(value) else f"{float(value):.{digits}f}"


def _word(value: Any) -> str:
    return "NA" if pd.isna(value) else plain(value, 120)


def _head(part: pd.Series, rank: pd.Series, n_ranked: int, indication: Indication) -> Iterator[str]:
    yield f"{_word(part['display'])} ({_word(part['antigen'])}, {_word(part['gene_id'])})"
    yield plain(indication.title)
    if rank["data"] == "SIMULATED":
        yield "SIMULATED DATA: invented cells, not evidence about patients"
    if part["status"] == "ranked":
        grade = _word(part["evidence_grade"])
        yield f"rank {int(rank['rank'])} of {n_ranked}, evidence grade {grade}"
    else:
        yield f"not ranked ({_word(part['status'])}): {_word(part['reason'])}"
    if not pd.isna(part["notes"]):
        yield f"notes: {plain(part['notes'], 600)}"


def _uncertainty(
    rank: pd.Series,
    beside: Sequence[Neighbours],
    outranks: pd.DataFrame,
    robustness: pd.DataFrame,
) -> Iterator[str]:
    n = int(rank["n_replicates"])
    if n:
        composite = f"{_number(rank['composite_lower'])}–{_number(rank['composite_upper'])}"
        places = f"{rank['rank_median']:g} ({rank['rank_lower']:g}–{rank['rank_upper']:g})"
        times = of_count(n, "time")
        yield f"resampled {times} (patients and healthy donors, 5–95 %): composite {composite}"
        tops = ", ".join(f"first {k} {_number(rank[f'probability_top{k}'])}" for k in (1, 3, 5))
        yield f"  rank {places}; among the {tops}"
        for pair in beside:
            yield f"  {_neighbour(pair, rank['gene_id'])}"
        above = outranks.sort_values(["probability", "other"], ascending=[False, True])
        words = [
            f"{_word(r['other'])} {_number(r['probability'])}" for r in above.to_dict("records")
        ]
        yield f"  above {', '.join(words) or 'no other antigen'}"
        yield "  surface and shedding are held; specificity, coverage and safety vary"
    else:
        yield f"no interval: {_word(rank['no_interval_reason'])}"
    if not pd.isna(rank["rank_weights_lower"]):
        yield (
            f"  rank {rank['rank_weights_lower']:g}–{rank['rank_weights_upper']:g} under other "
            "weights (5–95 %)"
        )
    others = robustness[robustness["kind"] != "as_configured"]
    for kind, rows in others.groupby("kind", sort=True, observed=True):
        yield f"  {_word(kind).replace('_', ' ')}: {_scenarios(rows)}"


def _neighbour(pair: Neighbours, gene_id: str) -> str:
    """Say whether an antigen and one beside it in the ranking can be told apart."""
    own, other = pair.first, pair.second
    if own["gene_id"] != gene_id:
        own, other = other, own
    place = f"rank {int(other['rank'])}, {_number(other['composite_score'])}"
    name = f"{_word(other['display'])} ({place})"
    if pair.probability is None:
        return f"beside {name}: no replicates"
    share = pair.probability if own is pair.first else 1 - pair.probability
    return _STANDING[standing(share) or "level"].format(other=name, share=_number(share))


def _caveat(words: str) -> Iterator[str]:
    yield from wrap(words, 96, initial_indent="  ! ", subsequent_indent="    ")


def _scenarios(rows: pd.DataFrame) -> str:
    """Return how often each rank is held in scenarios of one kind; the rarer ones by name."""
    ranks = rows["rank"].astype("Int64")
    ranked = rows[ranks.notna()].groupby(ranks, sort=True)["scenario"]
    found = {f"rank {rank}": names.tolist() for rank, names in ranked}
    unranked = rows[rows["rank"].isna()].groupby("reason", sort=True, observed=True)["scenario"]
    found |= {f"no rank, {_word(reason)}": names.tolist() for reason, names in unranked}
    usual = max(found, key=lambda said: len(found[said]))
    words = [f"{usual} in {len(found[usual])} of {len(rows)}"]
    for said, names in found.items():
        if said != usual:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            words.append(f"{said} in {', '.join(_word(n) for n in sorted(names)[:_NAMED])}{more}")
    return "; ".join(words)


def _refuse_other_weights(part: pd.Series, scoring: Scoring, folder: str) -> None:
    """Arithmetic that does not give the stored score explains nothing."""
    if pd.isna(part["composite_score"]):
        return
    product = prod(max(float(v), scoring.part_floor) ** w for _, v, w in _factors(part, scoring))
    if abs(product - float(part["composite_score"])) > 1e-9:
        wrong = "the scores were made with other weights than the configuration has now"
        remedy = "run snakemake again, or name the --configfile they were made with"
        raise ConfigError.one(folder, part["antigen"], wrong, remedy)


def _factors(part: pd.Series, scoring: Scoring) -> list[tuple[str, Any, float]]:
    weights = scoring.composite_weights
    shedding = part["shedding_score"]
    unshed = pd.NA if pd.isna(shedding) else 1 - 0.5 * float(shedding) / 100
    return [
        ("specificity", part["specificity_score"], weights.specificity),
        ("coverage", part["coverage_score"], weights.coverage),
        ("safety", part["safety_score"], weights.safety),
        ("surface", part["surface_confidence"], weights.surface),
        ("1 − shedding/200", unshed, weights.shedding),
    ]


def _composite(part: pd.Series, scoring: Scoring) -> Iterator[str]:
    yield f"composite {_number(part['composite_score'], 4)} = product of part ^ weight (C7)"
    for label, value, weight in _factors(part, scoring):
        held = pd.NA if pd.isna(value) else max(float(value), scoring.part_floor)
        power = held if pd.isna(held) else held**weight
        floored = "" if pd.isna(held) or held == float(value) else f", counts as {held:g}"
        yield (
            f"  {label:<18} {_number(value, 6):>8}{floored} ^ {weight:.2f} = {_number(power, 4)}"
        )


def _specificity(part: pd.Series, scoring: Scoring) -> Iterator[str]:
    weights = scoring.specificity_weights
    yield f"specificity {_number(part['specificity_score'], 4)} = sum of weight × part (C2)"
    yield "  each part is held between 0 and 1"
    fold, gap, auc, tau = (
        _number(part[column]) for column in ("log_fold_change", "detection_gap", "auc_min", "tau")
    )
    rows = (
        ("s1", weights.log_fold_change, f"0.5 + log2 fold change {fold} / 6"),
        ("s2", weights.detection_gap, f"detection gap {gap}"),
        ("s3", weights.auc, f"2 × (smallest AUC {auc} − 0.5)"),
        ("s4", weights.tau, f"tau {tau}; 0 where the highest level is in other healthy cells"),
    )
    for key, weight, how in rows:
        yield f"  {weight:.2f} × {_number(part[f'specificity_{key}'])} = {how}"
    yield f"  highest level: {_word(part['tau_argmax'])}"
    yield f"  worst tier 1–2 group: {_word(part['log_fold_change_group'])}"
    beside = _number(part["log_fold_change_counterpart"])
    yield f"  beside: log2 fold change against the normal counterpart {beside}"
    tiers = ", ".join(f"tier {t} {_number(part[f'log_fold_change_tier{t}'])}" for t in range(1, 5))
    yield f"  beside: log2 fold change against the worst group of {tiers}"
    thinned = _number(part["detection_gap_thinned"])
    yield f"  beside: detection gap with the diseased cells at 2,000 UMI too {thinned}"


def _coverage(part: pd.Series, scoring: Scoring) -> Iterator[str]:
    yield f"coverage {_number(part['coverage_score'], 4)} = 0.5 f + 0.3 share + 0.2 p10 (C3)"
    n_patients = int(part["n_patients"])
    n_bounds = n_patients - int(part["n_identifiable"])

    def least(column: str) -> str:
        """Return a fraction, marked if some patients enter it with a lower bound."""
        marked = n_bounds and not pd.isna(part[column])
        return f"{'≥ ' if marked else ''}{_number(part[column])}"

    interval = f"{least('fraction_expressing_lower')}–{_number(part['fraction_expressing_upper'])}"
    yield (
        f"  f     {least('fraction_expressing')} expressing fraction, posterior median of the "
        f"mean over patients (95 % {interval})"
    )
    yield f"  share {least('share_patients_above_half')} of patients have at least half"
    yield f"  p10   {least('fraction_p10')} 10th percentile over {of_count(n_patients, 'patient')}"
    if n_bounds:
        known = noun(n_bounds, "is a lower bound", "are lower bounds")
        patients = of_count(n_patients, "patient")
        yield f"  {n_bounds} of {patients} {known}: dropout not corrected"
    yield (
        f"  f     {_number(part['fraction_expressing_dispersed'])} if RNA came in bursts (phi 0.7),"
        f" {_number(part['fraction_expressing_even'])} if evenly (phi 6)"
    )
    least_left = "≤ " if n_bounds and not pd.isna(part["residual_fraction"]) else ""
    burden = f"10^{log10(scoring.burden):.2f}"
    yield (
        f"  negative R = 1 − f = {least_left}{_number(part['residual_fraction'])} (95 % "
        f"{_number(part['residual_fraction_lower'])}–{_number(part['residual_fraction_upper'])}): "
        f"R × {burden} = 10^{_number(part['log10_residual_cells'], 2)} cells left"
    )
    yield (
        f"  f × {burden} = 10^{_number(part['log10_on_target_cells'], 2)} cells on target: a proxy "
        "of what drives cytokine release, enters no score"
    )
    below = f"below {scoring.escape_fraction:g}"
    yield f"  patients known to be {below}: {_named(part, 'escaping')}"
    if not pd.isna(untold := part["n_patients_escape_untold"]) and untold:
        told = _named(part, "escape_untold")
        yield f"  cannot be told of (a lower bound is {below}): {told}"
    yield f"  unlike each other (rho, 0–1) {_number(part['heterogeneity'])}"
    yield from _caveat(_COVERAGE_CAVEAT)


def _named(part: pd.Series, which: str) -> str:
    """Return how many patients there are of a kind, and who."""
    n, names = part[f"n_patients_{which}"], part[f"patients_{which}"]
    return "NA" if pd.isna(n) else str(int(n)) + ("" if pd.isna(names) else f" ({_word(names)})")


def _safety(part: pd.Series, toxicity: pd.DataFrame, evidence: pd.DataFrame) -> Iterator[str]:
    score = _number(part["safety_score"], 4)
    yield f"safety {score} = product over toxicity classes of 1 − max(harm, gap) (C4)"
    for row in toxicity.sort_values(["factor", "toxicity_class"]).to_dict("records"):
        if row["factor"] < 1:
            group = row["worst_cell_type"] if not pd.isna(row["harm"]) else row["gap_label"]
            yield (
                f"  {_number(row['factor'], 4)}  {_word(row['toxicity_class'])}: harm "
                f"{_number(row['harm'], 4)}, gap {_number(row['gap_penalty'], 4)} "
                f"({_word(row['verdict'])}; {_word(group)}; {row['n_groups_assessed']} assessed, "
                f"{row['n_groups_not_assessed']} not){_decides(row)}"
            )
    yield (
        f"  from assessed groups alone {_number(part['safety_assessed'])}; all, with fractions at "
        f"their bounds, {_number(part['safety_lower'])}–{_number(part['safety_upper'])}"
    )
    measured = evidence[evidence["n_cells"] > 0]
    worst = measured.sort_values(["harm", "mean_cpm"], ascending=False, na_position="last")
    counted = toxicity[toxicity["factor"] < 1]
    deciding = set(zip(counted["worst_cell_type"], counted["worst_tissue"], strict=True))
    yield f"  healthy groups with the largest harm (of {len(measured)} measured); harm = weight ×"
    yield "  min(1, max(fraction / saturation fraction, CPM / saturation CPM)), as in tiers.tsv:"
    for place, row in enumerate(worst.to_dict("records")):
        if place >= _WORST and (row["cell_type"], row["tissue"]) not in deciding:
            continue
        interval = (
            f"{_number(row['fraction_expressing_lower'])}–"
            f"{_number(row['fraction_expressing_upper'])}"
        )
        marks = ", tolerated" if row["tolerated"] else ""
        if not pd.isna(row["ambient_explainable"]) and row["ambient_explainable"]:
            marks += ", free RNA may explain it"
        yield (
            f"    tier {row['tier']} {_word(row['cell_type'])}, {_word(row['tissue'])}: "
            f"{_number(row['fraction_expressing'])} ({interval}), "
            f"{_number(row['mean_cpm'], 1)} CPM, {of_count(row['n_donors'], 'donor')}, "
            f"{of_count(row['n_cells'], 'cell')}, harm {_number(row['harm'], 4)}: "
            f"{_word(row['verdict'])}{marks}"
        )
        if not pd.isna(row["patients_n_cells"]) and row["patients_n_cells"] > 0:
            yield (
                f"      in patients (decides nothing): "
                f"{_number(row['patients_fraction_expressing'])}, no more than "
                f"{_number(row['patients_fraction_expressing_upper'])}, "
                f"{_number(row['patients_mean_cpm'], 1)} CPM, "
                f"{of_count(row['patients_n_cells'], 'cell')} of "
                f"{of_count(row['patients_n_donors'], 'patient')}"
            )
    yield from _caveat(_HEALTHY_CAVEAT)
    unseen = evidence[evidence["suspension"] == "none"]
    vital = sorted(set(unseen[unseen["tier"] == 1]["cell_type"].astype(str)))
    yield (
        f"    rows of the toxicity list not assessed, where expression may hide: {len(unseen)}; "
        f"vital (tier 1): {listed(vital, 20) or 'none'}"
    )
    missing = evidence[(evidence["suspension"] == "none") & evidence["literature"].notna()]
    for row in missing.to_dict("records"):
        source = plain(source_words(str(row["literature_source"])), 160)
        yield (
            f"    not assessed: {_word(row['cell_type'])}, {_word(row['tissue'])}; literature "
            f"{row['literature']}, gap {_number(row['gap_penalty'])} ({source})"
        )


def _decides(row: Mapping[Any, Any]) -> str:
    """Say what takes most off a toxicity class, if it is not the group named."""
    harm, gap = (0.0 if pd.isna(row[c]) else float(row[c]) for c in ("harm", "gap_penalty"))
    if 1 - row["factor"] > max(harm, gap) + 1e-9:
        return ": a level without cells decides, below"
    return f": the gap decides, {_word(row['gap_label'])}" if gap > harm else ""


def _wrong_labels(gene_id: str, atlases: Sequence[str], ingest: Path) -> Iterator[str]:
    """Show what is left of a group if cells under a wrong label are not counted."""
    yield "cells under a wrong label: groups in which some show the programme of another lineage"
    for atlas in atlases:
        path = ingest / atlas / "contamination.parquet"
        summary = ingest / atlas / "samples.json"
        known = read_json(summary) if summary.is_file() else {}
        looked = known.get("contamination", {"mode": "off"})
        if not path.is_file() or looked["mode"] == "off":
            yield f"  {_word(atlas)}: not looked for, so nothing is known"
            continue
        if not looked["n_assessed"]:
            yield f"  {_word(atlas)}: no cell could be assessed, so nothing is known"
            continue
        table = read_table(path, CONTAMINATION)
        own = table[table["gene_id"] == gene_id]
        if own.empty:
            such, assessed = of_count(looked["n_flagged"], "such cell"), looked["n_assessed"]
            yield f"  {_word(atlas)}: this antigen in none of {such}; {assessed} assessed"
        for row in own.to_dict("records"):
            left = row["n_cells"] - row["n_flagged"]
            still = row["n_detected"] - row["n_flagged_detected"]
            share = _number(still / left) if left else "NA"
            looks = noun(row["n_flagged"], "looks", "look")
            yield (
                f"  {_word(row['cell_type'])}, {_word(row['tissue'])} "
                f"({_word(row['population'])}, {_word(atlas)}): detected in {row['n_detected']} of "
                f"{of_count(row['n_cells'], 'cell')} "
                f"({_number(row['n_detected'] / row['n_cells'])}); without "
                f"{of_count(row['n_flagged'], 'cell')} that {looks} like "
                f"{_word(row['programme'])} in {still} of {left} ({share})"
            )


def _levels(levels: pd.DataFrame, gene_id: str) -> Iterator[str]:
    """Say what aggregated references add: nothing if the indication names none."""
    for entry in drawn_levels(levels, [gene_id]):
        yield (
            f"level only, {entry['n_counting']} of {of_count(entry['n_levels'], 'level')} of "
            "references counted: no cells, no fraction; a class keeps 1 − max(harm, gap, level)"
        )
        for row in entry["rows"]:
            cost = f"level {_number(row['harm'], 4)}" if row["counts"] else row["counts_not"]
            yield (
                f"  {_word(row['cell_type'])}, {_word(row['tissue'])} ({_word(row['reference'])}: "
                f"{_word(row['label'])}): {row['said']}: {_word(row['verdict'])}; "
                f"{_word(row['toxicity_class'])} {cost}"
            )
        for reference in entry["missing"]:
            yield f"  not measured in {_word(reference)}"


def _shedding(items: pd.DataFrame, part: pd.Series) -> Iterator[str]:
    total = items["points_max"].sum()
    low, high = _number(part["shedding_low"], 1), _number(part["shedding_high"], 1)
    yield (
        f"shedding {_number(part['shedding_score'], 1)} of 100 ({low}–{high}), "
        f"{_word(part['shedding_grade'])} = points / {total:g} × 100 (C5)"
    )
    for row in items.to_dict("records"):
        yield (
            f"  {row['points_mid']:5.1f} of {row['points_max']:g}  {_word(row['item'])}: "
            f"{_word(row['finding'])} [{_word(row['source'])}; {_word(row['status'])}]"
        )
