"""hptransfer measures whether a hyperparameter tuned on small models can be carried to a large one."""

from hptransfer.version import __version__

__all__ = ["__version__"]
