"""Decide who is who: donor, tissue, cell type and population of every cell; Ensembl ids.

Files expected: results/fetch/{atlas}/manifest.json and the curated gene names.
Files produced: results/ingest/{atlas}/{cells,rejected,genes}.parquet and summary.json.
Configuration: the registry row of the atlas.
"""


rule ingest_atlas:
    input:
        manifest="<results>/fetch/{atlas}/manifest.json",
        simulated=simulated_file,
        genes=gene_files,
        labels=label_files,
    output:
        cells="<results>/ingest/{atlas}/cells.parquet",
        rejected="<results>/ingest/{atlas}/rejected.parquet",
        genes="<results>/ingest/{atlas}/genes.parquet",
        summary="<results>/ingest/{atlas}/summary.json",
    log:
        "<logs>/ingest_atlas/{atlas}.log",
    benchmark:
        "<benchmarks>/ingest_atlas/{atlas}.jsonl"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        row=atlas_row,
        registry=RUN.registries,
        genes=gene_settings,
        library=code_fingerprint("targetscore.ingest", "targetscore.formats"),
    script:
        "../scripts/ingest_atlas.py"
