"""Bring atlases as their publishers ship them, or simulate one.

Files expected: none. Files produced: results/fetch/{atlas}/manifest.json, which says where
the atlas is and what its checksum is. Configuration: the rows of the atlas registries.
"""


rule fetch_atlas:
    input:
        files=atlas_files,
    output:
        manifest="<results>/fetch/{atlas}/manifest.json",
    log:
        "<logs>/fetch_atlas/{atlas}.log",
    benchmark:
        "<benchmarks>/fetch_atlas/{atlas}.jsonl"
    wildcard_constraints:
        atlas="|".join(FETCHED) or NONE,
    resources:
        mem_mb=500,
        runtime=720,
    params:
        row=atlas_row,
        registry=RUN.registries,
        folder="<resources>/atlases/{atlas}",
        library=code_fingerprint("targetscore.fetch"),
    script:
        "../scripts/fetch_atlas.py"


rule simulate_atlas:
    output:
        atlas="<results>/simulate/{atlas}_SIMULATED.h5ad",
        manifest="<results>/fetch/{atlas}/manifest.json",
    log:
        "<logs>/simulate_atlas/{atlas}.log",
    benchmark:
        "<benchmarks>/simulate_atlas/{atlas}.jsonl"
    wildcard_constraints:
        atlas="|".join(SIMULATED) or NONE,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        row=atlas_row,
        registry=RUN.registries,
        library=code_fingerprint("targetscore.simulate"),
    script:
        "../scripts/simulate_atlas.py"
