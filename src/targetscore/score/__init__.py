"""Score antigens from profiles: specificity, coverage, safety, shedding, surface, composite."""

from targetscore.score.load import AtlasProfile
from targetscore.score.run import ScoreTables, score_indication

__all__ = ["AtlasProfile", "ScoreTables", "score_indication"]
