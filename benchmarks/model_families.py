"""Small models of many families: `FAMILIES[name](n)` has width n."""

from model_families_hf import CTX, HF, IDS
from model_families_others import OTHERS
from model_families_own import OWN

FAMILIES = HF | OTHERS | OWN

__all__ = ["CTX", "FAMILIES", "HF", "IDS"]
