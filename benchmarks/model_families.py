"""Small models of many families: `FAMILIES[name](n)` has width n."""

from model_families_hf import CTX, HF, IDS
from model_families_others import OTHERS

FAMILIES = HF | OTHERS

__all__ = ["CTX", "FAMILIES", "HF", "IDS"]
