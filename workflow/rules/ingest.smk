"""Decide who is who: donor, tissue, cell type and population of every cell; Ensembl ids.

Then look at each cell and sample: which cells are no evidence or stand under a wrong label,
which may be doublets, how much RNA was free.

Files expected: results/fetch/{atlas}/manifest.json and the curated gene names.
Files produced: results/ingest/{atlas}/{cells,rejected,genes}.parquet and summary.json;
{doublets,ambient,ambient_rates,quality,removed,contamination}.parquet and samples.json.
An aggregated reference has no cells: results/ingest/{reference}/{levels.parquet,summary.json}.
Configuration: the registry row of the atlas, and the section ingest.
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


rule assess_samples:
    input:
        manifest="<results>/fetch/{atlas}/manifest.json",
        simulated=simulated_file,
        labels=label_files,
        cells="<results>/ingest/{atlas}/cells.parquet",
        genes="<results>/ingest/{atlas}/genes.parquet",
        names=gene_files,
        markers=marker_files,
    output:
        doublets="<results>/ingest/{atlas}/doublets.parquet",
        ambient="<results>/ingest/{atlas}/ambient.parquet",
        ambient_rates="<results>/ingest/{atlas}/ambient_rates.parquet",
        quality="<results>/ingest/{atlas}/quality.parquet",
        removed="<results>/ingest/{atlas}/removed.parquet",
        contamination="<results>/ingest/{atlas}/contamination.parquet",
        summary="<results>/ingest/{atlas}/samples.json",
    log:
        "<logs>/assess_samples/{atlas}.log",
    benchmark:
        "<benchmarks>/assess_samples/{atlas}.jsonl"
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        row=atlas_row,
        registry=RUN.registries,
        genes=gene_settings,
        settings=RUN.config.ingest.model_dump(mode="json"),
        library=code_fingerprint(
            "targetscore.ingest", "targetscore.formats", "targetscore.libraries"
        ),
    script:
        "../scripts/assess_samples.py"


rule ingest_reference:
    input:
        manifest="<results>/fetch/{reference}/manifest.json",
        genes=gene_files,
        labels=lambda wildcards: RUN.registry[wildcards.reference].label_map or [],
    output:
        levels="<results>/ingest/{reference}/levels.parquet",
        summary="<results>/ingest/{reference}/summary.json",
    log:
        "<logs>/ingest_reference/{reference}.log",
    benchmark:
        "<benchmarks>/ingest_reference/{reference}.jsonl"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        row=lambda wildcards: RUN.registry[wildcards.reference].model_dump(mode="json"),
        registry=RUN.registries,
        genes=gene_settings,
        library=code_fingerprint("targetscore.ingest"),
    script:
        "../scripts/ingest_reference.py"
