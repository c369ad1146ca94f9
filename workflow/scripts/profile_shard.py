"""Rule profile_shard: read a range of rows once and pack their counts group by group."""

from targetscore.config import AtlasRow
from targetscore.contracts import GENES
from targetscore.fetch import from_manifest
from targetscore.formats import open_atlas
from targetscore.io import read_json, read_table
from targetscore.logs import log_to
from targetscore.profile.groups import GENE_COLUMNS, counted_cells
from targetscore.profile.packing import pack_rows

with log_to(snakemake.log[0]):
    read = snakemake.input
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = from_manifest(read_json(read.manifest))
    pack_rows(
        open_atlas(row, fetched.location),
        counted_cells(read.cells, read.doublets, read.removed),
        read_table(read.genes, GENES, GENE_COLUMNS),
        snakemake.output.pack,
        shard=int(snakemake.wildcards.shard),
        n_shards=int(snakemake.wildcards.n_shards),
        threads=snakemake.threads,
    )
