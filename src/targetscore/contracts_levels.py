"""What the files of aggregated references contain: levels without cells."""

from __future__ import annotations

from targetscore.contract import Column, Contract, amount, choice, count, fraction, text

LEVEL_UNITS = ("nTPM", "TPM", "CPM", "NX", "counts", "protein")
PROTEIN_LEVELS = ("not_detected", "low", "medium", "high")
LEVEL_SCOPES = ("tissue", "cell_type")
LEVEL_VERDICTS = ("concern", "possible", "no_signal_insufficient", "not_measured")

_LEVEL = (
    text("label", "tissue and cell type as the publisher writes them, ' / ' between them"),
    choice("scope", "whether a tissue as a whole or one cell type was measured", LEVEL_SCOPES),
    text("tissue_id", "UBERON id; label:any tissue where none is stated"),
    text("tissue", "tissue name"),
    text("cell_type_id", "Cell Ontology id; label:whole tissue where no cell type is stated"),
    text("cell_type", "cell type name"),
)
_MEASURES = ("rna", "protein")
_UNIT = "unit of the publisher; counts are given per million here"
_FOUND = (
    amount("level", "RNA level in the unit, per million; NA for protein"),
    amount("level_lower", "exact lower 95 % bound where counts are known, else the level"),
    choice("protein_level", "level of immunohistochemistry; NA for RNA", PROTEIN_LEVELS, True),
    text("reliability", "reliability of the protein level as its publisher states it", True),
    count("n_donors", "donors as the publisher states them; NA if it does not", nullable=True),
)

REFERENCE_LEVELS = Contract(
    "ingest/levels",
    (
        text("gene_id", "Ensembl id without version, or symbol:<text> if unresolved"),
        *_LEVEL,
        text("tier_label", "tissue tier that holds for it, where the label map names one", True),
        choice("measure", "what was measured", _MEASURES),
        choice("unit", _UNIT, LEVEL_UNITS),
        *_FOUND,
    ),
    key=("gene_id", "label"),
)

LEVELS = Contract(
    "score/levels",
    (
        text("gene_id", "Ensembl id of the antigen"),
        text("antigen", "approved symbol of the antigen"),
        choice("evidence_kind", "a level has no cells and no fraction expressing", ("level",)),
        text("reference", "reference the level is from"),
        *_LEVEL,
        choice("measure", "what was measured; NA if the gene was not", _MEASURES, True),
        choice("unit", _UNIT, LEVEL_UNITS, True),
        *_FOUND,
        text("tier_label", "row of the tissue tiers it counts for; NA if it has none", True),
        Column("tier", "int", "tier of that row", nullable=True, low=1, high=4),
        text("toxicity_class", "toxicity class of that row", True),
        choice("verdict", "what may be said of it; a level is never clear", LEVEL_VERDICTS),
        Column("counts", "bool", "whether it costs safety: nothing better is known of the row"),
        text("counts_not", "why it does not; NA if it does", True),
        fraction("harm", "what it costs if it counts; NA without a tier row"),
    ),
    key=("gene_id", "reference", "label"),
)
