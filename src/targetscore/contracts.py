"""What each stage file contains: columns, types, units, ranges, keys and order.

This is the only place where a stage file is described; :mod:`targetscore.io` refuses a
table that breaks its contract, and a test holds every file of a run against it.
"""

from __future__ import annotations

from targetscore.contract import Column, Contract, amount, choice, count, fraction, number, text
from targetscore.contracts_cells import CONTAMINATION, QUALITY, REMOVED
from targetscore.contracts_levels import LEVELS, REFERENCE_LEVELS

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
# Simulated, not data. For whoever prints an interval; a test compares the figures.
INTERVAL_CAVEATS = (
    "With three to ten donors the 95 % intervals of healthy cells held the truth in 78 to 90 % of "
    "simulated groups in which 2 to 40 % of the cells express, and the upper bound was too low in "
    "15 to 20 % of those with 2 %: so few donors do not show how much donors differ "
    "(tests/benchmarks/calibration.md).",
    "The intervals of coverage say how much patients differ, not how far the assumption about "
    "dropout is off: where RNA came in stronger bursts (phi 0.7) or more evenly (phi 6) than "
    "assumed, 30 and 60 % held the truth with ten patients (tests/benchmarks/calibration.md). "
    "The fractions under both stand beside.",
)
SCENARIOS = (
    "as_configured",
    "atlas_left_out",
    "reference_left_out",
    "patient_left_out",
    "threshold",
    "dropout_dispersion",
    "doublets_left_out",
    "free_rna_default",
)
DOUBLET_CALLS = ("yes", "no", "not_assessed")
SAMPLE_KEY = ("donor", "sample", "tissue_id", "assay", "suspension")
"""What makes cells one sample: they shared a suspension, so free RNA and doublets too."""

_WHO = (
    text("donor", "donor (person) as the atlas names it"),
    text("sample", "sample as the atlas names it; the donor where there is none"),
    text("tissue_id", "UBERON id, or label:<text> where the label is not in UBERON"),
    text("tissue", "tissue name"),
    text("cell_type_id", "Cell Ontology id, or label:<text> where the label is not mapped"),
    text("cell_type", "cell type name"),
    text("assay", "assay name"),
    choice("suspension", "what was suspended", ("cell", "nucleus", "unknown")),
    text("disease", "disease id or label of the donor's sample; 'normal' is healthy"),
    choice("population", "who the cell is in this disease", POPULATIONS),
)

CELLS = Contract(
    "ingest/cells",
    (
        Column("row", "int", "row of the cell in the matrix, from 0", low=0),
        Column("cell", "string", "barcode, unique in the atlas"),
        *_WHO,
        text("author_cell_type", "cell type as the publisher wrote it"),
    ),
    key=("row",),
)

REJECTED = Contract(
    "ingest/rejected",
    (
        Column("row", "int", "row of the cell in the matrix, from 0", low=0),
        Column("cell", "string", "barcode"),
        text("reason", "why the cell is not used"),
        text("detail", "the value that led to it", nullable=True),
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
        choice(
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

DOUBLETS = Contract(
    "ingest/doublets",
    (
        Column("row", "int", "row of the cell in cells.parquet and in the matrix", low=0),
        fraction("score", "Scrublet's score, 1 most like two cells; NA if not assessed"),
        Column(
            "flagged",
            "bool",
            "score above the cut between singlets and doublets; NA if there is no score or no cut",
            nullable=True,
        ),
        text("reason", "why score or flag is missing; NA if neither is", nullable=True),
    ),
    key=("row",),
)

_SAMPLE = tuple(column for column in _WHO if column.name in SAMPLE_KEY)

AMBIENT = Contract(
    "ingest/ambient",
    (
        *_SAMPLE,
        choice(
            "source",
            "what free RNA was read off: barcodes without a cell, or nothing (the score then "
            "assumes the profile of the sample's other cells)",
            ("empty_droplets", "sample_profile"),
        ),
        fraction("share", "largest share of a cell's UMI that is free RNA; NA if not measured"),
        count("n_cells", "cells of the sample that are used"),
        count("n_empty", "barcodes of the sample taken as empty"),
    ),
    key=SAMPLE_KEY,
)

AMBIENT_RATES = Contract(
    "ingest/ambient_rates",
    (
        *_SAMPLE,
        text("gene_id", "gene in genes.parquet; genes the empty barcodes do not show have no row"),
        amount("rate", "UMI of free RNA at most per UMI of a cell's library (C1)", nullable=False),
    ),
    key=(*SAMPLE_KEY, "gene_id"),
)

GROUPS = Contract(
    "profile/groups",
    (
        Column("group_id", "int32", "number of the group in this atlas, from 0", low=0),
        text("atlas", "atlas the cells are from"),
        *_WHO,
        choice("doublet", "whether its cells were flagged as doublets", DOUBLET_CALLS),
        count("n_cells", "cells in the group"),
        count("total_counts", "sum of all UMI counts"),
        count("library_counts", "sum of UMI counts without masked genes"),
        count("n_empty_libraries", "cells whose masked library size is 0"),
        Column("library_bin", "ints", "bins of the library-size histogram that hold cells"),
        Column("library_cells", "ints", "cells in each of these bins"),
    ),
    key=("group_id",),
)

EXPRESSION = Contract(
    "profile/expression",
    (
        Column("group_id", "int32", "group in groups.parquet", low=0),
        text("gene_id", "gene in genes.parquet"),
        count("n_detected", "cells with at least one count"),
        amount("thinned_detected", "expected cells detected at 2,000 UMI (C1)", nullable=False),
        count("sum_counts", "sum of counts over the cells"),
        amount("sum_log1p_cp10k", "sum over cells of ln(1 + counts per 10k)", nullable=False),
        amount("sumsq_log1p_cp10k", "sum of squares of the same", nullable=False),
    ),
    key=("group_id", "gene_id"),
)

PANEL = Contract(
    "profile/panel",
    (
        text("gene_id", "candidate of an indication that uses the atlas"),
        Column("group_id", "int32", "group in groups.parquet", low=0),
        count("row", "row of the cell in cells.parquet and in the matrix"),
        count("count", "UMI counts of the gene in the cell; cells without a count have no row"),
        count("library", "UMI counts of the cell without masked genes"),
    ),
    key=("gene_id", "group_id", "row"),
)

_ANTIGEN = (
    text("gene_id", "Ensembl id of the antigen"),
    text("antigen", "approved symbol of the antigen"),
)

EVIDENCE = Contract(
    "score/evidence",
    (
        *_ANTIGEN,
        text("tissue_id", "UBERON id of the healthy group or of the tier row not assessed"),
        text("tissue", "tissue name"),
        text("cell_type_id", "Cell Ontology id; label:<text> where there is none"),
        text("cell_type", "cell type name"),
        choice(
            "suspension",
            "cells and nuclei are never pooled; 'none' where nothing was measured",
            ("cell", "nucleus", "unknown", "none"),
        ),
        choice(
            "assay_class",
            "droplet and full-length assays are never pooled",
            ("droplet", "full_length", "unknown", "none"),
        ),
        text("tier_label", "row of the tissue tiers it counts for; NA if it has none", True),
        Column("tier", "int", "1 vital … 4 replaceable (C4)", low=1, high=4),
        text("toxicity_class", "toxicity that on-target killing here would cause"),
        Column("tolerated", "bool", "lineage this indication accepts to lose"),
        count("n_donors", "healthy donors with enough cells to count"),
        count("n_cells", "cells"),
        count("n_detected", "cells with at least one count", nullable=True),
        fraction("fraction_observed", "cells with at least one count / cells"),
        fraction("fraction_expressing", "posterior median of the expressing fraction (C1)"),
        fraction("fraction_expressing_lower", "2.5 % of the posterior"),
        fraction("fraction_expressing_upper", "97.5 % of the posterior"),
        amount("mean_cpm", "mean over donors of pseudobulk counts per million"),
        amount("median_cpm", "median over donors of pseudobulk counts per million"),
        number("q75_log2_cpm", "upper quartile over donors of log2(CPM + 10)"),
        fraction("harm", "0 none … tier weight, 0.9 worst (C4)"),
        choice("verdict", "what may be said of this group", VERDICTS),
        choice("literature", "curated report of expression here", LITERATURE, True),
        text("literature_source", "source of the curated report", True),
        fraction("gap_penalty", "share of safety lost because this was not assessed"),
        Column(
            "ambient_explainable",
            "bool",
            "free RNA of the sample may explain what was detected: fraction 0, upper bound kept",
            nullable=True,
        ),
        count("patients_n_donors", "patients with such cells that are not diseased", True),
        count("patients_n_cells", "those cells; non_healthy_donor: they decide nothing", True),
        fraction("patients_fraction_expressing", "posterior median in those cells"),
        fraction("patients_fraction_expressing_upper", "97.5 % of that posterior"),
        amount("patients_mean_cpm", "mean over those patients of pseudobulk CPM"),
        text("atlases", "atlases the cells are from, '; ' between them", True),
    ),
    key=("gene_id", "tissue_id", "cell_type_id", "suspension", "assay_class"),
)

TOXICITY = Contract(
    "score/toxicity",
    (
        *_ANTIGEN,
        text(
            "toxicity_class",
            "toxicity class of the tissue tiers; cytokine_release_proxy: cells on target that "
            "amplify cytokine release, a proxy that enters no score",
        ),
        choice("verdict", "worst of its groups, and of levels that count (score/levels)", VERDICTS),
        count("n_groups_assessed", "healthy groups assessed in this class"),
        count("n_groups_not_assessed", "tier rows of this class that nothing assesses"),
        fraction("harm", "largest harm of its assessed, non-tolerated groups"),
        fraction("gap_penalty", "largest literature penalty among rows not assessed"),
        fraction("factor", "what this class leaves of the safety score", nullable=False),
        text("worst_cell_type", "cell type with the largest harm", True),
        text("worst_tissue", "tissue of that group", True),
        text("gap_label", "tier row behind the literature penalty", True),
    ),
    key=("gene_id", "toxicity_class"),
)

COVERAGE = Contract(
    "score/coverage",
    (
        *_ANTIGEN,
        text("atlas", "atlas of the patient"),
        text("donor", "patient as the atlas names it"),
        count("n_cells", "diseased cells of the patient"),
        fraction("fraction_observed", "diseased cells with at least one count / cells"),
        fraction("fraction_thinned", "the same at 2,000 UMI"),
        fraction("fraction_corrected", "dropout-corrected expressing fraction (C1)"),
        fraction("fraction_corrected_dispersed", "the same if phi were 0.7: bursts of RNA"),
        fraction("fraction_corrected_even", "the same if phi were 6: even levels"),
        fraction("fraction", "the fraction used: corrected if identifiable, else observed"),
        fraction("fraction_lower", "2.5 % bound of it from the cells looked at (score interval)"),
        fraction("fraction_upper", "97.5 % bound; 1 where dropout could not be corrected"),
        Column("identifiable", "bool", "whether the correction can be trusted", nullable=True),
        amount("cpm", "pseudobulk counts per million of the diseased cells"),
        Column("counted", "bool", "whether the patient has enough cells to count"),
        amount("counterpart_cpm", "the same in this patient's normal counterpart cells"),
    ),
    key=("gene_id", "atlas", "donor"),
)

SHEDDING = Contract(
    "score/shedding",
    (
        *_ANTIGEN,
        choice(
            "item",
            "part of the score (C5)",
            ("mechanism", "soluble", "topology", "isoform", "sheddase_expression"),
        ),
        text("finding", "what is known, in words"),
        amount("points_low", "points if everything unknown were harmless", nullable=False),
        amount("points_mid", "points used", nullable=False),
        amount("points_high", "points if everything unknown were harmful", nullable=False),
        amount("points_max", "points this item can give", nullable=False),
        Column("known", "bool", "whether the item was assessed"),
        text("source", "where the fact is from; NA if the item is unknown", True),
        text("status", "verified, prior knowledge, mixed, computed or unknown"),
    ),
    key=("gene_id", "item"),
)

_SCORE_PARTS = (
    fraction("specificity_score", "0–1, 1 best (C2)"),
    fraction("coverage_score", "0–1, 1 best (C3)"),
    fraction("safety_score", "0–1, 1 best (C4)"),
    fraction("surface_confidence", "0–1, 1 best (C6)"),
    Column("shedding_score", "float", "0–100, 100 worst (C5)", True, 0.0, 100.0),
    fraction("composite_score", "0–1, 1 best; NA if a part is missing (C7)"),
)

_SHOWN = (
    text("worst_cell_type", "non-tolerated cell type that costs most: by harm, or as a gap", True),
    text("worst_tissue", "its tissue", True),
    choice("worst_verdict", "its verdict", VERDICTS, True),
    Column("worst_tier", "int", "its tier", True, 1, 4),
    text("shedding_grade", "grade of the shedding score, _uncertain if the range is wide", True),
    choice("evidence_grade", "A most … D least evidence", GRADES, True),
    count("n_patients", "patients with enough diseased cells"),
    count(
        "n_identifiable",
        "of these, patients whose fraction could be corrected for dropout; "
        "the fractions of the others are lower bounds",
    ),
    count("n_healthy_donors", "healthy donors behind the evidence"),
    count("n_gaps", "tier rows that no healthy cell of this run assesses"),
    fraction("fraction_expressing", "median over the posterior across patients (f_T)"),
    fraction("share_patients_above_half", "patients with at least half of cells positive"),
)

COMPONENTS = Contract(
    "score/components",
    (
        *_ANTIGEN,
        text("display", "name clinicians use"),
        choice("status", "whether it could be ranked", STATUSES),
        text("reason", "why it could not be ranked; NA if it was", True),
        *_SCORE_PARTS,
        number("log_fold_change", "log2, tumour against the worst tier 1–2 group"),
        text("log_fold_change_group", "that group", True),
        number("log_fold_change_counterpart", "log2, tumour against the normal counterpart"),
        *(
            number(f"log_fold_change_tier{t}", f"log2, tumour against the worst tier {t} group")
            for t in (1, 2, 3, 4)
        ),
        number("detection_gap", "lower bound tumour − largest upper bound healthy"),
        number("detection_gap_thinned", "the same with the tumour at 2,000 UMI too"),
        fraction("auc_min", "smallest AUC over donor pairs, tiers 1–2"),
        fraction("tau", "tissue specificity index over cell types"),
        text("tau_argmax", "cell type with the highest level", True),
        fraction("specificity_s1", "part of specificity from the fold change"),
        fraction("specificity_s2", "part from the detection gap"),
        fraction("specificity_s3", "part from the AUC"),
        fraction("specificity_s4", "part from signed tau"),
        fraction("fraction_expressing_lower", "2.5 % of the posterior across patients"),
        fraction("fraction_expressing_upper", "97.5 % of the posterior across patients"),
        fraction("fraction_p10", "10th percentile of the patients' fractions"),
        amount("tumour_median_cpm", "median over patients of pseudobulk CPM"),
        fraction("fraction_expressing_dispersed", "fraction_expressing if phi were 0.7"),
        fraction("fraction_expressing_even", "fraction_expressing if phi were 6"),
        fraction("heterogeneity", "rho: 0 all patients alike … 1 all or none (C3)"),
        fraction("residual_fraction", "antigen-negative fraction R = 1 − f_T (C3)"),
        fraction("residual_fraction_lower", "2.5 % of its posterior"),
        fraction("residual_fraction_upper", "97.5 % of its posterior"),
        number("log10_residual_cells", "log10 of burden × residual_fraction"),
        number(
            "log10_on_target_cells",
            "log10 of burden × fraction_expressing; a proxy of what drives cytokine release",
        ),
        count("n_patients_escaping", "patients known to be below the escape fraction", True),
        text("patients_escaping", "these patients, '; ' between them; NA if none", True),
        count("n_patients_escape_untold", "patients whose lower bound is below it", True),
        text("patients_escape_untold", "these: neither escape nor coverage can be told", True),
        fraction("safety_assessed", "safety from assessed groups alone"),
        fraction("safety_lower", "safety if every fraction were at its upper bound"),
        fraction("safety_upper", "safety if every fraction were at its lower bound"),
        Column("shedding_low", "float", "shedding if unknown items were harmless", True, 0, 100),
        Column("shedding_high", "float", "shedding if unknown items were harmful", True, 0, 100),
        fraction("shedding_completeness", "points of known items / points of all items"),
        text("notes", "warnings of this antigen, '; ' between them", True),
        *_SHOWN,
    ),
    key=("gene_id",),
)

_UNCERTAINTY = (
    fraction("composite_lower", "5 % of the composite when patients and donors are resampled"),
    fraction("composite_upper", "95 % of the same"),
    *(
        Column(f"rank_{point}", "float", f"{words} of the rank in the same replicates", True, 1.0)
        for point, words in (("lower", "5 %"), ("median", "median"), ("upper", "95 %"))
    ),
    *(fraction(f"probability_top{k}", f"replicates with a rank of at most {k}") for k in (1, 3, 5)),
    count("n_replicates", "replicates behind these figures; 0 if there are none"),
    text("no_interval_reason", "why there are none; NA if there are", True),
    *(
        Column(f"rank_weights_{point}", "float", f"{share} of the rank, other weights", True, 1.0)
        for point, share in (("lower", "5 %"), ("upper", "95 %"))
    ),
)

RANKING = Contract(
    "score/ranking",
    (
        count("rank", "1 best; only ranked antigens have one", nullable=True),
        *_ANTIGEN,
        text("display", "name clinicians use"),
        choice("status", "whether it could be ranked", STATUSES),
        *_SCORE_PARTS,
        *_SHOWN,
        text("reason", "why it could not be ranked; NA if it was", True),
        *_UNCERTAINTY,
        text("data", "SIMULATED where the cells were invented, else 'measured'"),
    ),
    key=("gene_id",),
    sort=("rank", "antigen"),
)

ROBUSTNESS = Contract(
    "score/robustness",
    (
        *_ANTIGEN,
        choice("kind", "what the scenario changes", SCENARIOS),
        text("scenario", "the scenario in words"),
        fraction("composite_score", "0–1, 1 best; NA if the antigen cannot be scored in it"),
        count("rank", "1 best among the antigens scored in this scenario", nullable=True),
        text("reason", "why the antigen has no score in it; NA if it has", True),
    ),
    key=("gene_id", "kind", "scenario"),
)

OUTRANKS = Contract(
    "score/outranks",
    (
        *_ANTIGEN,
        text("other_gene_id", "Ensembl id of the antigen it is held against"),
        text("other", "approved symbol of that antigen"),
        fraction(
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
    DOUBLETS,
    AMBIENT,
    AMBIENT_RATES,
    QUALITY,
    REMOVED,
    CONTAMINATION,
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
    REFERENCE_LEVELS,
    LEVELS,
)
