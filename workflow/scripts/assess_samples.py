"""Rule assess_samples: which cells count, and what each sample holds beside single cells."""

from targetscore import contracts
from targetscore.config import AtlasRow, Ingesting
from targetscore.contracts import CELLS, GENES
from targetscore.fetch import from_manifest
from targetscore.genes import load_genes
from targetscore.ingest.contamination import load_programmes
from targetscore.ingest.samples import CELL_COLUMNS, TABLES, assess_samples
from targetscore.io import read_json, read_table, write_json, write_table
from targetscore.logs import log_to
from targetscore.provenance import stamp

with log_to(snakemake.log[0]) as logger:
    given, made = snakemake.params, snakemake.output
    row = AtlasRow.model_validate(given.row)
    fetched = from_manifest(read_json(snakemake.input.manifest))
    found = assess_samples(
        row,
        fetched.location,
        given.registry,
        read_table(snakemake.input.cells, CELLS, CELL_COLUMNS),
        read_table(snakemake.input.genes, GENES),
        Ingesting.model_validate(given.settings),
        load_programmes(given.genes["knowledge"], load_genes(**given.genes)),
    )
    made_of = stamp(given.library, [row.model_dump(), given.settings], [fetched.sha256])
    for name in TABLES:
        write_table(getattr(found, name), made[name], getattr(contracts, name.upper()), made_of)
    write_json(found.summary, made.summary)
    cells = found.summary["doublets"]
    if called := cells["n_with_call"]:
        shares = f"{cells['n_flagged']:,} of {called:,}"
        logger.info("%s: %s cells flagged as doublets", row.atlas, shares)
    for reason, n in cells["reasons"].items():
        logger.info("%s: %s cells %s", row.atlas, f"{n:,}", reason)
    for reason, n in found.summary["quality"]["removed"].items():
        logger.info("%s: %s cells left out: %s", row.atlas, f"{n:,}", reason)
    n = found.summary["contamination"]["n_flagged"]
    logger.info("%s: %s cells show the programme of another lineage", row.atlas, f"{n:,}")
    for source, n in found.summary["ambient"].items():
        logger.info("%s: free RNA of %s samples from: %s", row.atlas, f"{n:,}", source)
