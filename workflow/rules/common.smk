"""What the rules share: the run as configured, its wildcards, and input functions.

Bad input stops the run here, before the first job, with every problem and its remedy.
"""

from snakemake.exceptions import WorkflowError

from targetscore.checks import check_run
from targetscore.config import load_run, read_yaml, shards_of
from targetscore.errors import TargetscoreError
from targetscore.fetch import local_files
from targetscore.knowledge import knowledge_files
from targetscore.provenance import code_fingerprint, digest

try:
    RUN = load_run(config, ", ".join(map(str, workflow.configfiles)))
    if workflow.is_main_process:
        # Of two equal keys Snakemake takes the last, without a word.
        for path in workflow.configfiles:
            read_yaml(path)
        for notice in check_run(RUN):
            logger.info(notice)
except TargetscoreError as error:
    raise WorkflowError(f"{type(error).__name__}\n{error}") from None

SIMULATED = [a for a in RUN.atlases if RUN.registry[a].url.startswith("simulate:")]
FETCHED = [a for a in [*RUN.atlases, *RUN.references] if a not in SIMULATED]
NONE = "(?!)"


# A pack is read once by everything that needs it, then deleted, unless it is to be kept.
packed = str if RUN.config.profile.keep_packs else temp


wildcard_constraints:
    atlas="|".join(RUN.atlases),
    reference="|".join(RUN.references) or NONE,
    indication="|".join(RUN.indications),
    shard=r"\d+",
    n_shards=r"\d+",


def atlas_row(wildcards):
    """The registry row of an atlas, as a job parameter."""
    return RUN.registry[wildcards.atlas].model_dump(mode="json")


def atlas_files(wildcards):
    """The local files of an atlas, so that a changed file is read again."""
    return local_files(RUN.registry[wildcards.atlas], RUN.registries)


def simulated_file(wildcards):
    """The simulated atlas, so that a row that becomes simulated is not read from its old file."""
    here = wildcards.atlas in SIMULATED
    return (
        expand("<results>/simulate/{atlas}_SIMULATED.h5ad", atlas=wildcards.atlas)
        if here
        else []
    )


def atlas_packs(wildcards):
    """The packs of all rows of an atlas."""
    row = RUN.registry[wildcards.atlas]
    n_shards = shards_of(row, RUN.config.profile.shards, atlas_files(wildcards))
    return expand(
        "<results>/profile/{atlas}/shards/{shard}-of-{n_shards}.pack",
        atlas=wildcards.atlas,
        shard=range(1, n_shards + 1),
        n_shards=n_shards,
    )


def atlas_indications(wildcards):
    """The indications that use an atlas, as configured."""
    named = sorted(RUN.indications.items())
    return [i.model_dump(mode="json") for _, i in named if wildcards.atlas in i.atlases]


def panel_files(wildcards):
    """The candidates' counts cell by cell, where they are asked for."""
    asked = RUN.atlases if RUN.config.profile.panel_counts else []
    return expand("<results>/profile/{atlas}/panel.parquet", atlas=asked)


def label_files(wildcards):
    """The user's tables that an atlas's labels come from."""
    row = RUN.registry[wildcards.atlas]
    return [path for path in (row.cell_labels, row.label_map) if path]


def gene_files(wildcards):
    """The tables that gene names are resolved with."""
    curated = [f"{RUN.config.knowledge}/{name}.tsv" for name in ("genes", "typos")]
    return curated + [path for path in (RUN.config.gene_reference,) if path]


def marker_files(wildcards):
    """The tables that programmes of lineages are read from."""
    return [f"{RUN.config.knowledge}/{n}.tsv" for n in ("lineage_markers", "antigens")]


def curated_files(wildcards):
    """All curated tables."""
    return knowledge_files(RUN.config.knowledge) + gene_files(wildcards)


def indication_files(wildcards, pattern):
    """One stage file of every atlas of an indication, in the order of their names."""
    atlases = RUN.indications[wildcards.indication].atlases
    return expand(pattern, atlas=atlases)


def indication_groups(wildcards):
    return indication_files(wildcards, "<results>/profile/{atlas}/groups.parquet")


def indication_expression(wildcards):
    return indication_files(wildcards, "<results>/profile/{atlas}/expression.parquet")


def indication_genes(wildcards):
    return indication_files(wildcards, "<results>/ingest/{atlas}/genes.parquet")


def indication_ambient(wildcards):
    return indication_files(wildcards, "<results>/ingest/{atlas}/ambient.parquet")


def indication_ambient_rates(wildcards):
    return indication_files(wildcards, "<results>/ingest/{atlas}/ambient_rates.parquet")


def indication_summaries(wildcards):
    return indication_files(wildcards, "<results>/ingest/{atlas}/summary.json")


def indication_samples(wildcards):
    return indication_files(wildcards, "<results>/ingest/{atlas}/samples.json")


def reference_files(wildcards, pattern):
    """One file of every aggregated reference of an indication, in the order of their names."""
    return expand(pattern, reference=RUN.indications[wildcards.indication].references)


def indication_manifests(wildcards):
    return indication_files(wildcards, "<results>/fetch/{atlas}/manifest.json")


def indication_settings(wildcards):
    """The indication as configured, as a job parameter."""
    return RUN.indications[wildcards.indication].model_dump(mode="json")


def indication_simulated(wildcards):
    """Which atlases of an indication hold invented cells."""
    return [
        a
        for a in RUN.indications[wildcards.indication].atlases
        if RUN.registry[a].simulated
    ]


def gene_settings(wildcards):
    return {
        "knowledge": RUN.config.knowledge,
        "gene_reference": RUN.config.gene_reference,
    }


def scoring_settings(wildcards):
    return RUN.config.scoring.model_dump(mode="json")


def level_settings(wildcards):
    """What levels count for, where an indication uses any; nothing else depends on it."""
    asked = RUN.indications[wildcards.indication].references
    return RUN.config.levels.model_dump(mode="json") if asked else {}


def run_digest(wildcards):
    """A digest of everything that was configured for an indication."""
    used = RUN.indications[wildcards.indication]
    rows = {a: RUN.registry[a].model_dump() for a in [*used.atlases, *used.references]}
    settings = [
        f(wildcards) for f in (indication_settings, scoring_settings, level_settings)
    ]
    return digest([*settings, RUN.config.ingest.model_dump(mode="json"), rows])
