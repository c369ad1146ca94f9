"""Rule assess_samples: doublets among the cells of each sample, and its free RNA."""

from targetscore.config import AtlasRow
from targetscore.contracts import AMBIENT, AMBIENT_RATES, CELLS, DOUBLETS, GENES
from targetscore.fetch import from_manifest
from targetscore.ingest.samples import CELL_COLUMNS, assess_samples
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
        **given.settings,
    )
    made_of = stamp(given.library, [row.model_dump(), given.settings], [fetched.sha256])
    write_table(found.doublets, made.doublets, DOUBLETS, made_of)
    write_table(found.ambient, made.ambient, AMBIENT, made_of)
    write_table(found.ambient_rates, made.ambient_rates, AMBIENT_RATES, made_of)
    write_json(found.summary, made.summary)
    cells = found.summary["doublets"]
    if called := cells["n_with_call"]:
        shares = f"{cells['n_flagged']:,} of {called:,}"
        logger.info("%s: %s cells flagged as doublets", row.atlas, shares)
    for reason, n in cells["reasons"].items():
        logger.info("%s: %s cells %s", row.atlas, f"{n:,}", reason)
    for source, n in found.summary["ambient"].items():
        logger.info("%s: free RNA of %s samples from: %s", row.atlas, f"{n:,}", source)
