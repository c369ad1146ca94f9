"""Read the raw counts once: sufficient statistics per donor × cell group and gene.

Files expected: results/fetch/{atlas}/manifest.json and results/ingest/{atlas}/.
Files produced: results/profile/{atlas}/{groups,expression}.parquet; all genes, always.
"""


rule profile_atlas:
    input:
        manifest="<results>/fetch/{atlas}/manifest.json",
        cells="<results>/ingest/{atlas}/cells.parquet",
        genes="<results>/ingest/{atlas}/genes.parquet",
    output:
        groups="<results>/profile/{atlas}/groups.parquet",
        expression="<results>/profile/{atlas}/expression.parquet",
    log:
        "<logs>/profile_atlas/{atlas}.log",
    benchmark:
        "<benchmarks>/profile_atlas/{atlas}.jsonl"
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        row=atlas_row,
        library=code_fingerprint(
            "targetscore.profile", "targetscore.formats", "targetscore.libraries"
        ),
    script:
        "../scripts/profile_atlas.py"
