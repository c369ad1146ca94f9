"""Rule score_indication: score the antigens of an indication from its profiles."""

from targetscore import contracts
from targetscore.config import Indication, Scoring
from targetscore.genes import load_genes
from targetscore.io import read_json, write_table, write_tsv
from targetscore.knowledge import load_knowledge
from targetscore.logs import log_to
from targetscore.provenance import stamp
from targetscore.score import AtlasProfile, score_indication

with log_to(snakemake.log[0]) as logger:
    given, made = snakemake.params, snakemake.output
    files = (snakemake.input.groups, snakemake.input.expression, snakemake.input.genes)
    methods = [read_json(s)["malignancy_method"] for s in snakemake.input.summaries]
    profiles = {
        atlas: AtlasProfile(atlas, *paths, atlas in given.simulated, method == "unseparated")
        for atlas, *paths, method in zip(given.atlases, *files, methods, strict=True)
    }
    tables = score_indication(
        Indication.model_validate(given.indication),
        profiles,
        load_knowledge(given.genes["knowledge"]),
        load_genes(**given.genes),
        Scoring.model_validate(given.scoring),
    )
    made_of = stamp(given.library, given.digest, [])
    for name, table in vars(tables).items():
        write_table(table, made[name], getattr(contracts, name.upper()), made_of)
    write_tsv(tables.ranking, made.ranking_tsv)
    logger.info("%s antigens scored, see %s", len(tables.ranking), made.ranking_tsv)
