"""What each stage file contains: columns, types, units, ranges, keys and order.

This is the only place where a stage file is described; :mod:`targetscore.io` refuses a
table that breaks its contract, and a test holds every file of a run against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from targetscore.errors import ContractError, Problem, listed, plain, raise_all

POPULATIONS = ("diseased", "normal_counterpart", "microenvironment", "healthy")
VERDICTS = (
    "clear",
    "no_signal_insufficient",
    "possible",
    "concern",
    "not_assessed",
    "not_assessable_by_RNA",
    "not_measured",
)
STATUSES = ("ranked", "not_measured", "not_scorable", "not_surface", "incomplete")
LITERATURE = ("strong", "contested")
GRADES = ("A", "B", "C", "D")
SCENARIOS = (
    "as_configured",
    "atlas_left_out",
    "patient_left_out",
    "threshold",
    "dropout_dispersion",
)

_ARROW = {
    "string": pa.string(),
    "label": pa.dictionary(pa.int32(), pa.string()),
    "int": pa.int64(),
    "int32": pa.int32(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "ints": pa.list_(pa.int64()),
}


@dataclass(frozen=True)
class Column:
    """One column of a stage file.

    Attributes
    ----------
    name
        Column name; it carries the unit where there is one.
    kind
        ``string``, ``label`` (dictionary-coded string), ``int``, ``int32``, ``float``,
        ``bool`` or ``ints`` (list of integers).
    meaning
        What the value says, with unit and which end is good.
    nullable
        Whether a value may be missing. Missing is never 0.
    low, high
        Smallest and largest value allowed.
    values
        The only values allowed.
    """

    name: str
    kind: str
    meaning: str
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Contract:
    """One stage file: its columns, unique key and sort order (the key, unless ``sort``)."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sort: tuple[str, ...] | None = None

    @property
    def names(self) -> list[str]:
        """The column names in file order."""
        return [c.name for c in self.columns]

    def schema(self) -> pa.Schema:
        """Return the Arrow schema without metadata."""
        return pa.schema([pa.field(c.name, _ARROW[c.kind], c.nullable) for c in self.columns])

    def empty(self) -> pd.DataFrame:
        """Return a table without rows that satisfies the contract."""
        return self.schema().empty_table().to_pandas()

    def problems(self, table: pd.DataFrame, file: str) -> list[Problem]:
        """List every way in which a table breaks the contract."""
        fix = f"this file is written by targetscore; delete {file} and run again"
        found = [
            Problem(file, name, "the column is missing", fix)
            for name in self.names
            if name not in table.columns
        ]
        extra = [c for c in table.columns if c not in self.names]
        if extra:
            found.append(Problem(file, "columns", f"not in the contract: {listed(extra)}", fix))
        for column in self.columns:
            if column.name in table.columns:
                found += [
                    Problem(file, column.name, wrong, fix)
                    for wrong in _faults(column, table[column.name])
                ]
        key = [k for k in self.key if k in table.columns]
        if key and len(key) == len(self.key) and len(table) and table.duplicated(key).any():
            row = table.loc[table.duplicated(key), key].iloc[0].tolist()
            found.append(Problem(file, "+".join(key), f"the key repeats: {plain(row)}", fix))
        return found

    def check(self, table: pd.DataFrame, file: str) -> None:
        """Raise :class:`~targetscore.errors.ContractError` if the table breaks the contract."""
        raise_all(ContractError, self.problems(table, file))


def _faults(column: Column, values: pd.Series) -> Iterable[str]:
    present = values.dropna() if column.kind != "ints" else values
    if not column.nullable and len(present) < len(values):
        yield f"{len(values) - len(present):,} values are missing"
    if column.kind in ("int", "int32", "float") and len(present):
        if not pd.api.types.is_numeric_dtype(present):
            yield f"holds text where numbers are expected, for example {plain(present.iloc[0])}"
            return
        numbers = present.to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            yield "holds infinite values"
        if column.low is not None and numbers.min() < column.low:
            yield f"the smallest value {numbers.min():g} is below {column.low:g}"
        if column.high is not None and numbers.max() > column.high:
            yield f"the largest value {numbers.max():g} is above {column.high:g}"
    if column.values is not None:
        odd = sorted(set(map(str, present.unique())) - set(column.values))
        if odd:
            yield f"unknown values {listed(odd)}; allowed are {listed(column.values)}"


def _text(name: str, meaning: str, nullable: bool = False) -> Column:
    return Column(name, "label", meaning, nullable)


def _fraction(name: str, meaning: str, nullable: bool = True) -> Column:
    return Column(name, "float", meaning, nullable, 0.0, 1.0)


def _amount(name: str, meaning: str, nullable: bool = True) -> Column:
    return Column(name, "float", meaning, nullable, 0.0)


def _number(name: str, meaning: str) -> Column:
    return Column(name, "float", meaning, nullable=True)


def _count(name: str, meaning: str, nullable: bool = False) -> Column:
    return Column(name, "int", meaning, nullable, 0)


def _choice(name: str, meaning: str, values: Sequence[str], nullable: bool = False) -> Column:
    return Column(name, "label", meaning, nullable, values=tuple(values))


_WHO = (
    _text("donor", "donor (person) as the atlas names it"),
    _text("sample", "sample as the atlas names it; the donor where there is none"),
    _text("tissue_id", "UBERON id, or label:<text> where the label is not in UBERON"),
    _text("tissue", "tissue name"),
    _text("cell_type_id", "Cell Ontology id, or label:<text> where the label is not mapped"),
    _text("cell_type", "cell type name"),
    _text("assay", "assay name"),
    _choice("suspension", "what was suspended", ("cell", "nucleus", "unknown")),
    _text("disease", "disease id or label of the donor's sample; 'normal' is healthy"),
    _choice("population", "who the cell is in this disease", POPULATIONS),
)

CELLS = Contract(
    "ingest/cells",
    (
        Column("row", "int", "row of the cell in the matrix, from 0", low=0),
        Column("cell", "string", "barcode, unique in the atlas"),
        *_WHO,
        _text("author_cell_type", "cell type as the publisher wrote it"),
    ),
    key=("row",),
)

REJECTED = Contract(
    "ingest/rejected",
    (
        Column("row", "int", "row of the cell in the matrix, from 0", low=0),
        Column("cell", "string", "barcode"),
        _text("reason", "why the cell is not used"),
        _text("detail", "the value that led to it", nullable=True),
    ),
    key=("row",),
)

GENES = Contract(
    "ingest/genes",
    (
        Column("column", "int32", "column of the gene in the matrix, from 0", low=0),
        Column("original_id", "string", "identifier as the publisher wrote it"),
        Column("original_symbol", "string", "symbol as the publisher wrote it", nullable=True),
        Column("gene_id", "string", "Ensembl id without version, or symbol:<text> if unresolved"),
        Column("symbol", "string", "approved symbol where known, else the publisher's"),
        _choice(
            "resolution",
            "how the gene was identified",
            (
                "ensembl_id",
                "approved_symbol",
                "previous_symbol",
                "alias",
                "typo_map",
                "unresolved",
                "ambiguous",
            ),
        ),
        Column("masked", "bool", "left out of the library size (Ig, mitochondrial, ribosomal)"),
    ),
    key=("column",),
)

GROUPS = Contract(
    "profile/groups",
    (
        Column("group_id", "int32", "number of the group in this atlas, from 0", low=0),
        _text("atlas", "atlas the cells are from"),
        *_WHO,
        _count("n_cells", "cells in the group"),
        _count("total_counts", "sum of all UMI counts"),
        _count("library_counts", "sum of UMI counts without masked genes"),
        _count("n_empty_libraries", "cells whose masked library size is 0"),
        Column("library_bin", "ints", "bins of the library-size histogram that hold cells"),
        Column("library_cells", "ints", "cells in each of these bins"),
    ),
    key=("group_id",),
)

EXPRESSION = Contract(
    "profile/expression",
    (
        Column("group_id", "int32", "group in groups.parquet", low=0),
        _text("gene_id", "gene in genes.parquet"),
        _count("n_detected", "cells with at least one count"),
        _amount("thinned_detected", "expected cells detected at 2,000 UMI (C1)", nullable=False),
        _count("sum_counts", "sum of counts over the cells"),
        _amount("sum_log1p_cp10k", "sum over cells of ln(1 + counts per 10k)", nullable=False),
        _amount("sumsq_log1p_cp10k", "sum of squares of the same", nullable=False),
    ),
    key=("group_id", "gene_id"),
)

PANEL = Contract(
    "profile/panel",
    (
        _text("gene_id", "candidate of an indication that uses the atlas"),
        Column("group_id", "int32", "group in groups.parquet", low=0),
        _count("row", "row of the cell in cells.parquet and in the matrix"),
        _count("count", "UMI counts of the gene in the cell; cells without a count have no row"),
        _count("library", "UMI counts of the cell without masked genes"),
    ),
    key=("gene_id", "group_id", "row"),
)

_ANTIGEN = (
    _text("gene_id", "Ensembl id of the antigen"),
    _text("antigen", "approved symbol of the antigen"),
)

EVIDENCE = Contract(
    "score/evidence",
    (
        *_ANTIGEN,
        _text("tissue_id", "UBERON id of the healthy group or of the tier row not assessed"),
        _text("tissue", "tissue name"),
        _text("cell_type_id", "Cell Ontology id; label:<text> where there is none"),
        _text("cell_type", "cell type name"),
        _choice(
            "suspension",
            "cells and nuclei are never pooled; 'none' where nothing was measured",
            ("cell", "nucleus", "unknown", "none"),
        ),
        _choice(
            "assay_class",
            "droplet and full-length assays are never pooled",
            ("droplet", "full_length", "unknown", "none"),
        ),
        _text("tier_label", "row of the tissue tiers it counts for; NA if it has none", True),
        Column("tier", "int", "1 vital … 4 replaceable (C4)", low=1, high=4),
        _text("toxicity_class", "toxicity that on-target killing here would cause"),
        Column("tolerated", "bool", "lineage this indication accepts to lose"),
        _count("n_donors", "healthy donors with enough cells to count"),
        _count("n_cells", "cells"),
        _count("n_detected", "cells with at least one count", nullable=True),
        _fraction("fraction_observed", "cells with at least one count / cells"),
        _fraction("fraction_expressing", "posterior median of the expressing fraction (C1)"),
        _fraction("fraction_expressing_lower", "2.5 % of the posterior"),
        _fraction("fraction_expressing_upper", "97.5 % of the posterior"),
        _amount("mean_cpm", "mean over donors of pseudobulk counts per million"),
        _amount("median_cpm", "median over donors of pseudobulk counts per million"),
        _number("q75_log2_cpm", "upper quartile over donors of log2(CPM + 10)"),
        _fraction("harm", "0 none … tier weight, 0.9 worst (C4)"),
        _choice("verdict", "what may be said of this group", VERDICTS),
        _choice("literature", "curated report of expression here", LITERATURE, True),
        _text("literature_source", "source of the curated report", True),
        _fraction("gap_penalty", "share of safety lost because this was not assessed"),
        Column(
            "ambient_explainable",
            "bool",
            "free RNA of the sample may explain what was detected: fraction 0, upper bound kept",
            nullable=True,
        ),
        _count("patients_n_donors", "patients with such cells that are not diseased", True),
        _count("patients_n_cells", "those cells; non_healthy_donor: they decide nothing", True),
        _fraction("patients_fraction_expressing", "posterior median in those cells"),
        _fraction("patients_fraction_expressing_upper", "97.5 % of that posterior"),
        _amount("patients_mean_cpm", "mean over those patients of pseudobulk CPM"),
        _text("atlases", "atlases the cells are from, '; ' between them", True),
    ),
    key=("gene_id", "tissue_id", "cell_type_id", "suspension", "assay_class"),
)

TOXICITY = Contract(
    "score/toxicity",
    (
        *_ANTIGEN,
        _text(
            "toxicity_class",
            "toxicity class of the tissue tiers; cytokine_release_proxy: cells on target that "
            "amplify cytokine release, a proxy that enters no score",
        ),
        _choice("verdict", "worst verdict among its groups; not_assessed if none", VERDICTS),
        _count("n_groups_assessed", "healthy groups assessed in this class"),
        _count("n_groups_not_assessed", "tier rows of this class that nothing assesses"),
        _fraction("harm", "largest harm of its assessed, non-tolerated groups"),
        _fraction("gap_penalty", "largest literature penalty among rows not assessed"),
        _fraction("factor", "what this class leaves of the safety score", nullable=False),
        _text("worst_cell_type", "cell type with the largest harm", True),
        _text("worst_tissue", "tissue of that group", True),
        _text("gap_label", "tier row behind the literature penalty", True),
    ),
    key=("gene_id", "toxicity_class"),
)

COVERAGE = Contract(
    "score/coverage",
    (
        *_ANTIGEN,
        _text("atlas", "atlas of the patient"),
        _text("donor", "patient as the atlas names it"),
        _count("n_cells", "diseased cells of the patient"),
        _fraction("fraction_observed", "diseased cells with at least one count / cells"),
        _fraction("fraction_thinned", "the same at 2,000 UMI"),
        _fraction("fraction_corrected", "dropout-corrected expressing fraction (C1)"),
        _fraction("fraction_corrected_dispersed", "the same if phi were 0.7: bursts of RNA"),
        _fraction("fraction_corrected_even", "the same if phi were 6: even levels"),
        _fraction("fraction", "the fraction used: corrected if identifiable, else observed"),
        Column("identifiable", "bool", "whether the correction can be trusted", nullable=True),
        _amount("cpm", "pseudobulk counts per million of the diseased cells"),
        Column("counted", "bool", "whether the patient has enough cells to count"),
        _amount("counterpart_cpm", "the same in this patient's normal counterpart cells"),
    ),
    key=("gene_id", "atlas", "donor"),
)

SHEDDING = Contract(
    "score/shedding",
    (
        *_ANTIGEN,
        _choice(
            "item",
            "part of the score (C5)",
            ("mechanism", "soluble", "topology", "isoform", "sheddase_expression"),
        ),
        _text("finding", "what is known, in words"),
        _amount("points_low", "points if everything unknown were harmless", nullable=False),
        _amount("points_mid", "points used", nullable=False),
        _amount("points_high", "points if everything unknown were harmful", nullable=False),
        _amount("points_max", "points this item can give", nullable=False),
        Column("known", "bool", "whether the item was assessed"),
        _text("source", "where the fact is from; NA if the item is unknown", True),
        _text("status", "verified, prior knowledge, mixed, computed or unknown"),
    ),
    key=("gene_id", "item"),
)

_SCORE_PARTS = (
    _fraction("specificity_score", "0–1, 1 best (C2)"),
    _fraction("coverage_score", "0–1, 1 best (C3)"),
    _fraction("safety_score", "0–1, 1 best (C4)"),
    _fraction("surface_confidence", "0–1, 1 best (C6)"),
    Column("shedding_score", "float", "0–100, 100 worst (C5)", True, 0.0, 100.0),
    _fraction("composite_score", "0–1, 1 best; NA if a part is missing (C7)"),
)

_SHOWN = (
    _text("worst_cell_type", "non-tolerated cell type that costs most: by harm, or as a gap", True),
    _text("worst_tissue", "its tissue", True),
    _choice("worst_verdict", "its verdict", VERDICTS, True),
    Column("worst_tier", "int", "its tier", True, 1, 4),
    _text("shedding_grade", "grade of the shedding score, _uncertain if the range is wide", True),
    _choice("evidence_grade", "A most … D least evidence", GRADES, True),
    _count("n_patients", "patients with enough diseased cells"),
    _count(
        "n_identifiable",
        "of these, patients whose fraction could be corrected for dropout; "
        "the fractions of the others are lower bounds",
    ),
    _count("n_healthy_donors", "healthy donors behind the evidence"),
    _count("n_gaps", "tier rows that no healthy cell of this run assesses"),
    _fraction("fraction_expressing", "median over the posterior across patients (f_T)"),
    _fraction("share_patients_above_half", "patients with at least half of cells positive"),
)

COMPONENTS = Contract(
    "score/components",
    (
        *_ANTIGEN,
        _text("display", "name clinicians use"),
        _choice("status", "whether it could be ranked", STATUSES),
        _text("reason", "why it could not be ranked; NA if it was", True),
        *_SCORE_PARTS,
        _number("log_fold_change", "log2, tumour against the worst tier 1–2 group"),
        _text("log_fold_change_group", "that group", True),
        _number("log_fold_change_counterpart", "log2, tumour against the normal counterpart"),
        *(
            _number(f"log_fold_change_tier{t}", f"log2, tumour against the worst tier {t} group")
            for t in (1, 2, 3, 4)
        ),
        _number("detection_gap", "lower bound tumour − largest upper bound healthy"),
        _number("detection_gap_thinned", "the same with the tumour at 2,000 UMI too"),
        _fraction("auc_min", "smallest AUC over donor pairs, tiers 1–2"),
        _fraction("tau", "tissue specificity index over cell types"),
        _text("tau_argmax", "cell type with the highest level", True),
        _fraction("specificity_s1", "part of specificity from the fold change"),
        _fraction("specificity_s2", "part from the detection gap"),
        _fraction("specificity_s3", "part from the AUC"),
        _fraction("specificity_s4", "part from signed tau"),
        _fraction("fraction_expressing_lower", "2.5 % of the posterior across patients"),
        _fraction("fraction_expressing_upper", "97.5 % of the posterior across patients"),
        _fraction("fraction_p10", "10th percentile of the patients' fractions"),
        _amount("tumour_median_cpm", "median over patients of pseudobulk CPM"),
        _fraction("fraction_expressing_dispersed", "fraction_expressing if phi were 0.7"),
        _fraction("fraction_expressing_even", "fraction_expressing if phi were 6"),
        _fraction("heterogeneity", "rho: 0 all patients alike … 1 all or none (C3)"),
        _fraction("residual_fraction", "antigen-negative fraction R = 1 − f_T (C3)"),
        _fraction("residual_fraction_lower", "2.5 % of its posterior"),
        _fraction("residual_fraction_upper", "97.5 % of its posterior"),
        _number("log10_residual_cells", "log10 of burden × residual_fraction"),
        _number(
            "log10_on_target_cells",
            "log10 of burden × fraction_expressing; a proxy of what drives cytokine release",
        ),
        _count("n_patients_escaping", "patients below the escape fraction", nullable=True),
        _text("patients_escaping", "these patients, '; ' between them; NA if none", True),
        _fraction("safety_assessed", "safety from assessed groups alone"),
        _fraction("safety_lower", "safety if every fraction were at its upper bound"),
        _fraction("safety_upper", "safety if every fraction were at its lower bound"),
        Column("shedding_low", "float", "shedding if unknown items were harmless", True, 0, 100),
        Column("shedding_high", "float", "shedding if unknown items were harmful", True, 0, 100),
        _fraction("shedding_completeness", "points of known items / points of all items"),
        _text("notes", "warnings of this antigen, '; ' between them", True),
        *_SHOWN,
    ),
    key=("gene_id",),
)

_UNCERTAINTY = (
    _fraction("composite_lower", "5 % of the composite when patients and donors are resampled"),
    _fraction("composite_upper", "95 % of the same"),
    *(
        Column(f"rank_{point}", "float", f"{words} of the rank in the same replicates", True, 1.0)
        for point, words in (("lower", "5 %"), ("median", "median"), ("upper", "95 %"))
    ),
    *(
        _fraction(f"probability_top{k}", f"replicates with a rank of at most {k}")
        for k in (1, 3, 5)
    ),
    _count("n_replicates", "replicates behind these figures; 0 if there are none"),
    _text("no_interval_reason", "why there are none; NA if there are", True),
    *(
        Column(f"rank_weights_{point}", "float", f"{share} of the rank, other weights", True, 1.0)
        for point, share in (("lower", "5 %"), ("upper", "95 %"))
    ),
)

RANKING = Contract(
    "score/ranking",
    (
        _count("rank", "1 best; only ranked antigens have one", nullable=True),
        *_ANTIGEN,
        _text("display", "name clinicians use"),
        _choice("status", "whether it could be ranked", STATUSES),
        *_SCORE_PARTS,
        *_SHOWN,
        _text("reason", "why it could not be ranked; NA if it was", True),
        *_UNCERTAINTY,
        _text("data", "SIMULATED where the cells were invented, else 'measured'"),
    ),
    key=("gene_id",),
    sort=("rank", "antigen"),
)

ROBUSTNESS = Contract(
    "score/robustness",
    (
        *_ANTIGEN,
        _choice("kind", "what the scenario changes", SCENARIOS),
        _text("scenario", "the scenario in words"),
        _fraction("composite_score", "0–1, 1 best; NA if the antigen cannot be scored in it"),
        _count("rank", "1 best among the antigens scored in this scenario", nullable=True),
        _text("reason", "why the antigen has no score in it; NA if it has", True),
    ),
    key=("gene_id", "kind", "scenario"),
)

OUTRANKS = Contract(
    "score/outranks",
    (
        *_ANTIGEN,
        _text("other_gene_id", "Ensembl id of the antigen it is held against"),
        _text("other", "approved symbol of that antigen"),
        _fraction(
            "probability",
            "bootstrap replicates in which the antigen is above the other, ties half; NA where "
            "one of them has no interval",
        ),
    ),
    key=("gene_id", "other_gene_id"),
)

STAGE_FILES = (
    CELLS,
    REJECTED,
    GENES,
    GROUPS,
    EXPRESSION,
    PANEL,
    EVIDENCE,
    TOXICITY,
    COVERAGE,
    SHEDDING,
    COMPONENTS,
    RANKING,
    ROBUSTNESS,
    OUTRANKS,
)
