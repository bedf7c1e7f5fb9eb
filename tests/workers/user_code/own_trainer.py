"""Training code as a user might bring it: no hptransfer in it, a loss by formula, faults on demand.

As a script: `own_trainer.py FAULT LR WIDTH SEED [RESULT]`. As a function: `own_trainer:train`.
"""

import json
import math
import os
import subprocess
import sys
import time


def loss(lr: float, width: int, seed: int = 0) -> float:
    x = math.log2(lr * width / 32) + 6
    return math.nan if x > 3 else 3.0 + 10.0 / width + 0.02 * x * x + 0.001 * seed


def train(lr, width, seed, steps=1, flavour="plain"):
    print("training", steps, flavour)
    return {"loss": loss(lr, width, seed), "params": 12 * width * width, "flavour": flavour}


def number(lr, width):
    return loss(lr, width)


def everything(**known):
    return {"loss": 1.0, "seen": ",".join(sorted(known))}


def stands_still(lr, lr_mup, width):
    """The optimum is where `lr_mup` is 2^-6, at every width; both learning rates come back."""
    x = math.log2(lr_mup) + 6
    return {"loss": 3.0 + 10.0 / width + 0.02 * x * x, "given_lr": lr, "given_lr_mup": lr_mup}


def wants_more(lr, colour):
    return 0.0


def raises(lr):
    raise RuntimeError("a fault\non purpose")


def main() -> None:
    fault, lr, width, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    done = {"loss": loss(lr, width, seed), "curve": [[1, 5.0], [2, 4.0]]}
    if fault == "hang":
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)", *sys.argv[5:]], start_new_session=True
        )
        time.sleep(600)
    if fault == "flood":
        for _ in range(12):
            sys.stdout.write("x" * (1 << 20) + "\n")
            sys.stderr.write("y" * (1 << 20))
    if fault == "garbage":
        sys.stdout.buffer.write(bytes(range(256)) * 9 + b"\n{not json}\n[1, 2]\n\x1b[31m")
        return
    if fault == "silent":
        return
    if fault == "exit":
        sys.exit("out of luck")
    if fault == "once":
        marker = os.path.join(os.environ["MARKERS"], f"{lr}-{width}-{seed}")
        if not os.path.exists(marker):
            open(marker, "w").close()
            sys.exit("not yet")
    if len(sys.argv) > 5:
        with open(sys.argv[5], "w") as file:
            json.dump(done, file)
        return
    print("step 1", json.dumps({"step": 1}))
    print(json.dumps(done))
    print("bye")


if __name__ == "__main__":
    main()
