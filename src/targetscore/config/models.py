"""The configuration as types: the only place that says which keys exist and what they mean."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from targetscore.config.stores import is_store, parse_store

SLUG = r"^[a-z0-9]+(_[a-z0-9]+)*$"
Slug = Annotated[str, Field(pattern=SLUG, max_length=100)]
Share = Annotated[float, Field(ge=0, le=1)]
FEWEST_REPLICATES = 20
MALIGNANCY_METHODS = ("=lineage", "=light_chain")


class Section(BaseModel):
    """A mapping in which a misspelt key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SpecificityWeights(Section):
    """Weights of the four parts of specificity; they add up to 1 (C2)."""

    log_fold_change: Share = 0.35
    detection_gap: Share = 0.25
    auc: Share = 0.25
    tau: Share = 0.15

    @model_validator(mode="after")
    def _add_up(self) -> SpecificityWeights:
        total = self.log_fold_change + self.detection_gap + self.auc + self.tau
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the weights add up to {total:g}, not 1")
        return self


class CompositeWeights(Section):
    """Exponents of the five parts of the composite; they add up to 1 (C7)."""

    specificity: Share = 0.35
    coverage: Share = 0.25
    safety: Share = 0.25
    surface: Share = 0.10
    shedding: Share = 0.05

    @model_validator(mode="after")
    def _add_up(self) -> CompositeWeights:
        parts = (self.specificity, self.coverage, self.safety, self.surface, self.shedding)
        if abs(sum(parts) - 1) > 1e-9:
            raise ValueError(f"the weights add up to {sum(parts):g}, not 1")
        return self


class Scoring(Section):
    """Parameters of the score. Chosen before any real result was seen; do not tune them."""

    min_cells_assessed: int = Field(
        default=20, ge=1, description="below: the group is not assessed"
    )
    min_cells_clear: int = Field(default=50, ge=1, description="below: a group is never clear")
    min_donors_clear: int = Field(default=3, ge=1, description="below: a group is never clear")
    min_cells_donor: int = Field(
        default=5,
        ge=1,
        description="a donor with fewer cells in a group does not count as a donor of it",
    )
    min_library_donor: int = Field(
        default=500,
        ge=0,
        description="a donor whose cells hold fewer UMI on average (masked genes left out) in a "
        "group does not count as a donor of it: nothing can be seen in empty cells",
    )
    min_cells_patient: int = Field(
        default=20, ge=1, description="a patient with fewer diseased cells is listed, not counted"
    )
    dropout_dispersion: float = Field(
        default=2.0, gt=0, description="phi of the dropout correction (C1)"
    )
    ambient_fraction: Share = Field(
        default=0.05,
        description="largest share of a cell's UMI that may be free RNA of its sample (C1), where "
        "no empty droplets measure it; 0 explains nothing away anywhere",
    )
    burden: float = Field(
        default=1e12,
        ge=1,
        description="diseased cells of a patient, for the number left without the antigen (C3)",
    )
    min_surface_confidence: Share = Field(
        default=0.5, description="below: not ranked as a surface antigen"
    )
    part_floor: float = Field(
        default=1e-3, gt=0, le=1, description="no part of the composite counts less (C7)"
    )
    escape_fraction: Share = Field(
        default=0.2, description="a patient below it is at risk of antigen escape (C3)"
    )
    bootstrap: int = Field(
        default=500,
        ge=0,
        le=100_000,
        strict=True,
        description="how often patients and healthy donors are resampled for the intervals of "
        "the ranking (C7); 0: not at all, and no other scenarios either; else at least "
        f"{FEWEST_REPLICATES}, for 5 and 95 % are read off them",
    )
    seed: int = Field(default=1, ge=0, description="seed of all random numbers of the score")
    blinded: bool = Field(
        default=False,
        description="for benchmarks against known targets: approved binders are no evidence of "
        "surface (C6) and published reports fill no gaps in healthy tissue (C4). Never for a "
        "decision: what is known to harm is then left out",
    )
    specificity_weights: SpecificityWeights = SpecificityWeights()
    composite_weights: CompositeWeights = CompositeWeights()


class Quality(Section):
    """Limits of single cells. What they remove is written down with reason and value."""

    min_genes: int = Field(
        default=200, ge=0, description="a cell in which fewer genes were seen is left out; 0: off"
    )
    min_counts: int = Field(
        default=500, ge=0, description="a cell with fewer UMI is left out; 0: off"
    )
    max_mitochondrial: Share = Field(
        default=0.2,
        description="a cell with a larger share of mitochondrial counts is left out, unless its "
        "cell type is rich in them itself (heart muscle); 1: off. Not applied where fewer than 7 "
        "mitochondrial genes are measured",
    )
    max_mitochondrial_nuclei: Share = Field(
        default=0.05, description="the same for nuclei, which hold no mitochondria"
    )
    panel_genes: int = Field(
        default=2000,
        ge=0,
        description="an atlas that measures fewer genes is a targeted panel: min_genes and "
        "min_counts are not applied to it",
    )


class Ingesting(Section):
    """What is found out about the samples of an atlas before their cells are counted."""

    doublets: bool = Field(
        default=True,
        description="score the cells of every droplet sample as doublets (Scrublet). Flagged cells "
        "stay in the score; a scenario shows the ranking without them. false: not assessed",
    )
    quality: Quality = Quality()
    contamination: Annotated[
        Literal["report", "exclude", "off"],
        BeforeValidator(lambda given: "off" if given is False else given),  # YAML reads off so
    ] = Field(
        default="report",
        description="cells that show the programme of another lineage than their label says "
        "(knowledge/lineage_markers.tsv). report: they stay, and are counted per antigen; "
        "exclude: they are left out; off: not looked for",
    )


class Levels(Section):
    """What the levels of aggregated references count for; chosen before any was looked at."""

    floor: float = Field(
        default=1.0,
        ge=0,
        description="RNA level (nTPM, TPM, NX, CPM) from which an antigen is possibly there: the "
        "Human Protein Atlas calls a gene detected from 1 nTPM. From the saturation CPM of the "
        "tier it is a concern",
    )
    whole_tissue_share: Share = Field(
        default=0.2,
        description="share of its harm that the level of a whole tissue counts for: some cell of "
        "the tissue carries the antigen, nobody knows which, as with a contested report (C4)",
    )
    uncertain_protein_share: Share = Field(
        default=0.2,
        description="the same for a low protein level, or one of an uncertain reliability",
    )
    uncertain_reliability: list[str] = Field(
        default=["uncertain"],
        description="reliabilities that its publisher gives a protein level, in lower case, which "
        "make it uncertain",
    )


class Profiling(Section):
    """How atlases are read. It changes how long that takes, never a result."""

    shards: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        default="auto",
        description="jobs that read one atlas, each a range of its cells; auto: one per 4 GB of "
        "a local h5ad file, or per million cells where the registry says how many",
    )
    keep_packs: bool = Field(
        default=False, description="keep the packed counts (3 bytes per value) for pairs and panels"
    )
    panel_counts: bool = Field(
        default=False,
        description="also write the candidates' counts cell by cell, as "
        "results/profile/<atlas>/panel.parquet",
    )

    @field_validator("shards", mode="before")
    @classmethod
    def _number_or_auto(cls, value: object) -> object:
        if value != "auto" and (type(value) is not int or not 1 <= value <= 1000):
            raise ValueError("should be a whole number from 1 to 1000, or auto")
        return value


class RunConfig(Section):
    """``config.yaml``: what to run. It holds science, never threads, memory or folders."""

    indications: list[Slug] = Field(
        min_length=1, description="names of files in indication_folders, without .yaml"
    )
    registries: list[str] = Field(
        default=["config/atlases.tsv", "config/references.tsv"],
        min_length=1,
        description="atlas registries; a later one replaces rows of an earlier one by name",
    )
    indication_folders: list[str] = Field(
        default=["config/indications"],
        min_length=1,
        description="where indications are looked for, first match wins",
    )
    knowledge: str = Field(default="config/knowledge", description="folder of the curated tables")
    gene_reference: str | None = Field(
        default=None,
        description="TSV of all genes (symbol, ensembl_gene_id, aliases) for atlases that "
        "hold symbols only; without it only curated genes are resolved",
    )
    ingest: Ingesting = Ingesting()
    profile: Profiling = Profiling()
    scoring: Scoring = Scoring()
    levels: Levels = Levels()

    @field_validator("scoring")
    @classmethod
    def _interval_has_replicates(cls, scoring: Scoring) -> Scoring:
        if 0 < scoring.bootstrap < FEWEST_REPLICATES:
            raise ValueError(
                f"bootstrap: {scoring.bootstrap} replicates show no interval; write 0 (none) or "
                f"at least {FEWEST_REPLICATES}"
            )
        return scoring


class Disease(Section):
    """The disease an indication is about."""

    id: str = Field(pattern=r"^(MONDO:\d{7}|PATO:\d{7})$", description="MONDO id")
    label: str = Field(min_length=1)


class Selection(Section):
    """How patients' cells were selected, which makes one antigen's coverage unusable."""

    antigen: str = Field(description="antigen that was selected for or treated with")
    reason: str = Field(description="for example: CD138-sorted, prior daratumumab")


class Diseased(Section):
    """Which cells are diseased."""

    atlases: list[Slug] = Field(min_length=1)
    disease: list[str] = Field(
        default=[], description="keep only donors with these disease ids or labels; empty: all"
    )
    cell_types: list[str] = Field(
        default=[],
        description="keep only these cell types (CL ids or names, with descendants); empty: all",
    )
    selection: list[Selection] = []


class Healthy(Section):
    """Where healthy cells come from."""

    atlases: list[Slug] = Field(min_length=1)
    references: list[Slug] = Field(
        default=[],
        description="aggregated references (kind reference): levels per tissue or cell type, "
        "without cells; they can lower safety where no cell was looked at, never raise it",
    )


class Counterpart(Section):
    """The normal cells the disease comes from; shown beside, never the worst case."""

    cell_types: list[str] = Field(min_length=1, description="CL ids or names, with descendants")


class Tolerated(Section):
    """Lineages whose loss this indication accepts, or intends."""

    cell_types: list[str] = Field(default=[], description="CL ids or names, with descendants")
    reason: str = ""


class Candidates(Section):
    """Which antigens are scored."""

    panel: list[str] = Field(min_length=1, description="symbols, aliases or Ensembl ids")
    context: dict[str, str] = Field(
        default={},
        description="what an ambiguous alias means here, for example {CS1: SLAMF7}",
    )


class Indication(Section):
    """One tumour type, or one autoimmune disease whose B lineage is the target."""

    title: str = Field(min_length=1)
    question: str = Field(default="", description="shown under the title of the report")
    disease: Disease
    diseased: Diseased
    healthy: Healthy
    normal_counterpart: Counterpart | None = None
    tolerated: Tolerated = Tolerated()
    hsct_rescue: bool = Field(
        default=False, description="a stem-cell transplant is planned: stem cells become tier 2"
    )
    candidates: Candidates
    notes: list[str] = Field(default=[], description="caveats printed in the report")

    @property
    def atlases(self) -> list[str]:
        """Names of all atlases it uses, sorted."""
        return sorted({*self.diseased.atlases, *self.healthy.atlases})

    @property
    def references(self) -> list[str]:
        """Names of the aggregated references it uses, sorted."""
        return sorted({*self.healthy.references})


class AtlasRow(Section):
    """One row of an atlas registry: where an atlas is and how to read it.

    A reading field names a column of the atlas's cell table, or gives one value for all
    cells as ``=value``. Empty means the default of the format.
    """

    atlas: Slug
    kind: Literal["tumour", "healthy", "mixed", "simulated", "reference"]
    format: Literal["h5ad", "loom", "tenx_h5", "tenx_mtx", "geo_text", "soma", "level_table"]
    version: str = Field(min_length=1)
    url: str = Field(
        min_length=1,
        description="http(s)://, file://, a path, simulate:<world>?key=value, or of format soma "
        "soma:<folder or URI> or census:<release>, with ?column=value&column=value; several "
        "are separated by spaces; ${NAME} is taken from the environment",
    )
    sha256: str = Field(
        default="", description="checksum per url; empty: unknown until first fetch"
    )
    licence: str = Field(min_length=1)
    doi: str = ""
    n_cells: str = Field(
        default="", pattern=r"^[0-9]*$", description="cells the publisher states; plans the jobs"
    )
    n_bytes: str = Field(
        default="", pattern=r"^[0-9]*$", description="bytes to be fetched, as the publisher states"
    )
    dataset: str = Field(
        default="",
        description="CELLxGENE dataset id that url was resolved from, per url; targetscore pin "
        "writes it",
    )
    tissues: str = Field(
        default="",
        description="tissues the publisher states, UBERON names or ids with ';' between them, "
        "' (nuclei)' after one of which nuclei were read; for targetscore check before the fetch",
    )
    counts: str = Field(
        default="",
        description="h5ad: X, raw/X or layers/<name> with raw counts; loom: matrix or "
        "layers/<name>; soma: <measurement>/<layer>; tenx_h5: the genome, if the file holds "
        "several",
    )
    unit: Literal["", "nTPM", "TPM", "CPM", "NX", "counts", "protein"] = Field(
        default="", description="level_table: what its values are; protein: not detected … high"
    )
    n_donors: str = Field(
        default="",
        pattern=r"^[0-9]*$",
        description="level_table: donors behind a level, as its publisher states them",
    )
    gene_id: str = Field(default="", description="column of the gene table with Ensembl ids")
    gene_symbol: str = Field(default="", description="column of the gene table with symbols")
    donor: str = ""
    sample: str = ""
    tissue: str = ""
    cell_type: str = ""
    assay: str = ""
    suspension: str = ""
    disease: str = ""
    malignancy: str = Field(
        default="",
        description="column with malignant/normal/unclear calls (of the atlas, or joined through "
        "cell_labels); =light_chain: plasma cells are called by the light chain of each patient's "
        "clone; =lineage: every cell of the lineage in a patient is diseased; empty: no calls",
    )
    lineage: str = Field(
        default="", description="CL ids or names the disease arises in, ';' between them"
    )
    cell_labels: str = Field(
        default="", description="TSV joined to the cells by its first column ('cell' or a column)"
    )
    label_map: str = Field(
        default="", description="TSV: label, cell_type_ontology_term_id of this atlas's cell types"
    )
    note: str = Field(default="", description="caveat printed in the report")

    @field_validator("sha256")
    @classmethod
    def _hex(cls, value: str) -> str:
        for part in value.split():
            if part != "-" and (len(part) != 64 or set(part) - set("0123456789abcdef")):
                raise ValueError(f"'{part}' is not a SHA-256 (64 lower-case hex digits)")
        return value

    @field_validator("malignancy")
    @classmethod
    def _known_method(cls, value: str) -> str:
        if value.startswith("=") and value not in MALIGNANCY_METHODS:
            known = " or ".join(MALIGNANCY_METHODS)
            raise ValueError(f"no such method: write {known}, or the name of a column")
        return value

    @model_validator(mode="after")
    def _method_needs_lineage(self) -> AtlasRow:
        if self.malignancy in MALIGNANCY_METHODS and not self.lineage.strip(" ;"):
            raise ValueError(
                f"malignancy {self.malignancy} needs the cell types the disease arises in, "
                "in the column lineage"
            )
        return self

    @model_validator(mode="after")
    def _reference_is_a_table(self) -> AtlasRow:
        if (self.kind == "reference") != (self.format == "level_table"):
            raise ValueError("kind reference and format level_table go together")
        if (self.kind == "reference") != bool(self.unit):
            raise ValueError("a reference needs the unit of its levels, and only a reference")
        return self

    @model_validator(mode="after")
    def _one_checksum_per_url(self) -> AtlasRow:
        if self.sha256 and len(self.sha256.split()) != len(self.url.split()):
            raise ValueError("sha256 and url do not hold the same number of entries")
        return self

    @model_validator(mode="after")
    def _store_is_pinned(self) -> AtlasRow:
        if self.format == "soma":
            parse_store(self.url)
        elif is_store(self.url):
            raise ValueError("a TileDB-SOMA store has the format soma")
        return self

    @property
    def simulated(self) -> bool:
        """Whether the cells were invented."""
        return self.kind == "simulated" or self.url.startswith("simulate:")
