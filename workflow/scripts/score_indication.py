"""Rule score_indication: score the antigens of an indication from its profiles."""

from targetscore import contracts
from targetscore.config import Indication, Levels, Scoring
from targetscore.genes import load_genes
from targetscore.io import read_json, write_table, write_tsv
from targetscore.knowledge import load_knowledge
from targetscore.logs import log_to
from targetscore.provenance import stamp
from targetscore.samecells import refuse_same_cells
from targetscore.score import AtlasProfile, score_indication

with log_to(snakemake.log[0]) as logger:
    given, read, made = snakemake.params, snakemake.input, snakemake.output
    files = zip(read.groups, read.expression, read.genes, strict=True)
    free_rna = zip(read.ambient, read.ambient_rates, strict=True)
    summaries = list(map(read_json, read.summaries))
    refuse_same_cells(summaries, "the atlases of this indication")
    methods = [summary["malignancy_method"] for summary in summaries]
    profiles = {
        atlas: AtlasProfile(atlas, *paths, atlas in given.simulated, method == "unseparated", *rna)
        for atlas, paths, method, rna in zip(given.atlases, files, methods, free_rna, strict=True)
    }
    tables = score_indication(
        Indication.model_validate(given.indication),
        profiles,
        load_knowledge(given.genes["knowledge"]),
        load_genes(**given.genes),
        Scoring.model_validate(given.scoring),
        dict(zip(given.references, read.references, strict=True)),
        Levels.model_validate(given.levels),
    )
    made_of = stamp(given.library, given.digest, [])
    for name, table in vars(tables).items():
        write_table(table, made[name], getattr(contracts, name.upper()), made_of)
    write_tsv(tables.ranking, made.ranking_tsv)
    logger.info("%s antigens scored, see %s", len(tables.ranking), made.ranking_tsv)
