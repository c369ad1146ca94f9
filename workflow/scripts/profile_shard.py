"""Rule profile_shard: read a range of rows once and pack their counts group by group."""

from targetscore.config import AtlasRow
from targetscore.contracts import CELLS, DOUBLETS, GENES, REMOVED
from targetscore.fetch import from_manifest
from targetscore.formats import open_atlas
from targetscore.io import read_json, read_pieces, read_table
from targetscore.logs import log_to
from targetscore.profile.groups import (
    CELL_COLUMNS,
    DOUBLET_COLUMNS,
    GENE_COLUMNS,
    with_doublets,
)
from targetscore.profile.packing import pack_rows

with log_to(snakemake.log[0]):
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = from_manifest(read_json(snakemake.input.manifest))
    pack_rows(
        open_atlas(row, fetched.location),
        with_doublets(
            read_pieces(snakemake.input.cells, CELLS, CELL_COLUMNS),
            read_table(snakemake.input.doublets, DOUBLETS, DOUBLET_COLUMNS),
            read_table(snakemake.input.removed, REMOVED, ["row"]),
        ),
        read_table(snakemake.input.genes, GENES, GENE_COLUMNS),
        snakemake.output.pack,
        shard=int(snakemake.wildcards.shard),
        n_shards=int(snakemake.wildcards.n_shards),
        threads=snakemake.threads,
    )
