"""Invented atlases with known truth: the embedded demo, tests and benchmarks.

Nothing in them was measured. Every barcode, the title and each filler gene say SIMULATED.
"""

from targetscore.simulate.design import donor_truth
from targetscore.simulate.tables import truth
from targetscore.simulate.world import World, parse_url
from targetscore.simulate.write import write_world

__all__ = ["World", "donor_truth", "parse_url", "truth", "write_world"]
