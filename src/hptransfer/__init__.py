"""hptransfer measures whether a hyperparameter tuned on small models can be carried to a large one.

import hptransfer as hpt

landscape = hpt.read("runs.csv", scale="width", hp="lr", loss="loss", variant="variant")
fit = hpt.quantify(landscape, targets=[4096])
print(fit.summary())
"""

from hptransfer.errors import HPTransferError
from hptransfer.landscape import Landscape
from hptransfer.quantify import quantify
from hptransfer.quantify.result import TransferFit
from hptransfer.readers import read
from hptransfer.version import __version__

__all__ = ["HPTransferError", "Landscape", "TransferFit", "__version__", "quantify", "read"]
