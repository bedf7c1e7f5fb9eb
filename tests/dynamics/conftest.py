"""Simulated studies and small models importable, torch on one thread, Hugging Face off the network."""

import os
import sys
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "parametrization")]

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
