"""What each curated table holds: columns, allowed values, keys, references."""

from __future__ import annotations

from dataclasses import dataclass

STATUSES = ("verified", "prior knowledge", "mixed", "unverified", "design")
ASSESSABLE = ("scRNA", "snRNA", "rare", "poorly_captured", "not_by_RNA", "absent_from_atlases")
YES_NO = ("yes", "no")
ROLES = (
    "primary",
    "comparator",
    "solid",
    "toxic_control",
    "trap",
    "non_gene_like",
    "nonsurface_control",
)
TOPOLOGY = (
    r"type_(I|II|III)|type_I_and_GPI_isoforms|GPI|\d+-TM_multipass"
    r"|ER_multipass|type_II_Golgi|intracellular_or_unresolved|not_membrane"
)
SHEDDING_VALUES = {
    "mechanism": ("direct_disease", "direct_other", "family", "none_reported", "unknown"),
    "soluble": ("high", "moderate", "minority", "baseline", "absent", "not_measured"),
    "topology": tuple(
        f"{anchor}{stalk}"
        for anchor in ("single_pass", "gpi", "multi_pass", "not_membrane")
        for stalk in ("", ";stalk")
    ),
    "isoform": ("isoform", "ev", "none", "unknown"),
}
SLUG = r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*"


@dataclass(frozen=True)
class Field:
    """One column of a curated table.

    Attributes
    ----------
    name
        Column name.
    required
        Whether the field must be filled in; an empty field means unknown.
    values
        The only values allowed.
    pattern
        Regular expression the whole value must match.
    example
        A value that is well formed, for messages.
    number
        Whether the column holds numbers, from 0 to ``high``.
    high
        Largest number allowed.
    refers
        ``table.column`` whose values are the only ones allowed.
    term
        Ontology the value must be a current term of, ``CL``, ``UBERON`` or ``MONDO``.
    """

    name: str
    required: bool = False
    values: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""
    number: bool = False
    high: float | None = None
    refers: str = ""
    term: str = ""


@dataclass(frozen=True)
class Table:
    """One curated table: its columns and the columns that tell its rows apart."""

    fields: tuple[Field, ...]
    key: tuple[str, ...]


def _text(name: str) -> Field:
    return Field(name, required=True)


def _choice(name: str, *values: str) -> Field:
    return Field(name, required=True, values=values)


def _flag(name: str) -> Field:
    return Field(name, required=True, values=("0", "1"), number=True)


def _number(name: str, high: float | None = None, required: bool = False) -> Field:
    return Field(name, required, number=True, high=high)


def _tier(name: str, required: bool) -> Field:
    return Field(name, required, _TIERS, refers="tiers.tier", number=True)


_FACT = (_text("source"), _choice("status", *STATUSES))
_GENE = Field("symbol", required=True, refers="genes.symbol")
_TIERS = ("1", "2", "3", "4")

TABLES: dict[str, Table] = {
    "genes": Table(
        (
            _text("symbol"),
            Field("ensembl_gene_id", True, pattern=r"ENSG\d{11}", example="ENSG00000048462"),
            Field("hgnc_id", pattern=r"HGNC:\d+", example="HGNC:11913"),
            Field("aliases"),
            Field("previous_symbols"),
            Field(
                "ambiguous_aliases",
                pattern=r"([^:|/]+:[^:|/]+(/[^:|/]+)+)(\|[^:|/]+:[^:|/]+(/[^:|/]+)+)*",
                example="CS1:ITPRID2/SLAMF7",
            ),
            *_FACT,
        ),
        ("symbol",),
    ),
    "typos": Table((_text("typo"), _GENE, *_FACT), ("typo",)),
    "antigens": Table(
        (
            _GENE,
            _text("display"),
            _choice("role", *ROLES),
            Field("contexts"),
            _choice("rna_scorable", *YES_NO),
            Field("not_scorable_reason"),
            *_FACT,
        ),
        ("symbol",),
    ),
    "surface": Table(
        (
            _GENE,
            Field("topology", True, pattern=TOPOLOGY, example="type_I"),
            _number("tm_helices"),
            _number("ectodomain_aa"),
            _choice("clinical_binder", "binder", "tce", "none"),
            _choice("cspa", "high", "putative", "none"),
            _flag("uniprot"),
            _choice("go", "experimental", "other", "none"),
            _flag("hpa"),
            _number("surfy_score", 1.0),
            *_FACT,
        ),
        ("symbol",),
    ),
    "shedding": Table(
        (
            _GENE,
            _choice("item", *SHEDDING_VALUES),
            _text("value"),
            _text("finding"),
            *_FACT,
        ),
        ("symbol", "item"),
    ),
    "sheddases": Table(
        (
            _GENE,
            Field("enzyme", True, refers="genes.symbol"),
            _text("pathway"),
            _choice("rule", "all", "any"),
            _choice("compartment", "tumour", "tumour_and_microenvironment"),
            *_FACT,
        ),
        ("symbol", "pathway", "enzyme"),
    ),
    "soluble_levels": Table(
        (_GENE, _text("setting"), _text("level"), Field("unit"), Field("assay"), *_FACT),
        ("symbol", "setting", "source"),
    ),
    "clinical": Table(
        (_GENE, _choice("kind", "outcome", "toxicity", "escape"), _text("finding"), *_FACT),
        ("symbol", "kind", "finding"),
    ),
    "tiers": Table(
        (
            Field("tier", True, _TIERS, number=True),
            _text("meaning"),
            _number("alert_fraction", 1.0, required=True),
            _number("saturation_fraction", 1.0, required=True),
            _number("saturation_cpm", required=True),
            _number("weight", 1.0, required=True),
            *_FACT,
        ),
        ("tier",),
    ),
    "tissue_tiers": Table(
        (
            _text("label"),
            Field("cell_type_id", pattern=r"CL:\d{7}", example="CL:0000786", term="CL"),
            Field("cell_type"),
            Field("tissue_id", pattern=r"UBERON:\d{7}", example="UBERON:0002371", term="UBERON"),
            Field("tissue"),
            _choice("tissue_required", *YES_NO),
            _tier("tier", required=True),
            _tier("tier_with_rescue", required=False),
            Field(
                "tier_by_disease",
                pattern=r"MONDO:\d{7}=[1-4](\|MONDO:\d{7}=[1-4])*",
                example="MONDO:0009693=2",
            ),
            Field("toxicity_class", True, pattern=SLUG, example="skin_hair_nail"),
            _choice("assessable", *ASSESSABLE),
            _text("rationale"),
            *_FACT,
        ),
        ("label",),
    ),
    "healthy_literature": Table(
        (
            _GENE,
            Field("tier_label", True, refers="tissue_tiers.label"),
            _choice("strength", "strong", "contested"),
            _choice("must_check", *YES_NO),
            _text("finding"),
            *_FACT,
        ),
        ("symbol", "tier_label"),
    ),
    "outcomes": Table(
        (
            Field("disease_id", pattern=r"MONDO:\d{7}", example="MONDO:0009693", term="MONDO"),
            _text("disease"),
            _GENE,
            _choice("kind", "positive", "negative", "toxic", "nonsurface", "candidate"),
            _choice("evidence_level", "A", "B", "C", "D"),
            Field("toxicity_class", refers="tissue_tiers.toxicity_class"),
            _text("finding"),
            *_FACT,
        ),
        ("disease", "symbol", "kind", "toxicity_class"),
    ),
}
