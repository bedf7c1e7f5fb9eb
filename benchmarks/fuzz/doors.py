"""One target for every door: what is done with an input, and what would be a fault."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import random
import shutil
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from hptransfer.cli import main
from hptransfer.errors import HPTransferError
from hptransfer.runs.config import RunRecord
from hptransfer.study.planner import plan
from hptransfer.study.progress_file import PROGRESS_FILE
from hptransfer.study.record_import import export_records
from hptransfer.study.record_table import read_records
from hptransfer.study.runs_table import place_of
from hptransfer.study.serve import StudyServer
from hptransfer.study.spec import load_study, parse_study
from hptransfer.study.store import STORE_FILE, Store
from hptransfer.study.store_integrity import COUNT_FILE, storable
from hptransfer.sweep import read
from hptransfer.workers.user_code import command

FAULTS = Path(__file__).absolute().parents[3] / "shared" / "faults" / "input"
CODES = (0, 2, 3)  # that a command may end with
SPEC = (
    b"name: t\nvariants: [a, b]\nwidths: [32, 64]\nlr: {low: 2^-6, high: 2^-2, coordinates: sp, extend: 0}\n"
    b"trial: {kind: command, command: 'train --lr={lr} {width}', timeout: 60}\n"
)
BUILTIN = b"name: t\nvariants: [sp]\nwidths: [32, 64]\nlr: {low: 2^-6, high: 2^-2}\ntrain: {steps: 9}\n"
ROWS = [("sp", n, 2.0**-x, 3 + 64 / n + 0.05 * (x - 7) ** 2) for n in (64, 128, 256) for x in range(4, 11)]
CSV = ("variant,width,lr,loss\n" + "".join(f"{v},{n},{lr},{loss}\n" for v, n, lr, loss in ROWS)).encode()
JSON = json.dumps([dict(zip(("variant", "width", "lr", "loss"), row, strict=True)) for row in ROWS]).encode()


def ended(*arguments: str) -> tuple[int, str, str]:
    """Exit code and output of a command; whatever else it raises is a fault."""
    out, errors = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code or 0
    return int(str(code)), out.getvalue(), errors.getvalue()


def judged(code: int, out: str, errors: str) -> str | None:
    """What is wrong with how a command ended."""
    if code not in CODES:
        return f"exit: {code}"
    if "Traceback" in out + errors or "Warning:" in errors:
        return f"exit: a warning or a traceback is printed: {errors[:300]}"
    if code == 2 and "rror" not in errors:
        return "exit: 2 without a reason"
    return "exit: an escape sequence is printed" if "\x1b" in out + errors else None


def known(pattern: str) -> list[bytes]:
    """Inputs that broke a promise, where they are at hand."""
    return [path.read_bytes() for path in sorted(FAULTS.glob(pattern)) if path.stat().st_size < 1 << 18]


class Door(ABC):
    """A door: seeds, and what is done with an input."""

    seeds: Sequence[bytes] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, given: bytes) -> str:
        """The input as a file."""
        (self.folder / name).write_bytes(given)
        return str(self.folder / name)

    @abstractmethod
    def feed(self, given: bytes, draw: random.Random) -> str | None:
        """Take an input; what is wrong, or None."""


class Tables(Door):
    """Tables as text: what can be read is read again from its own rows, and is the same."""

    name = "runs.csv"
    seeds = (CSV, *known("*.csv"))

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        path = self.put(self.name, given)
        if draw.random() < 0.02:
            return judged(*ended("fit", path, "--draws", "100", "--json", str(self.folder / "fit.json")))
        try:
            sweep = read(path)
        except HPTransferError as error:
            return None if "\n" not in str(error) else "exit: more than one line"
        names = sweep.columns
        again = read(
            sweep.to_frame(), scale=names.scale, hp=names.hp, loss=names.loss, variant=names.variant,
            seed=names.seed,
        )  # fmt: skip
        same = again.variant.tolist() == sweep.variant.tolist() and again.hp.tolist() == sweep.hp.tolist()
        same = same and all(
            a == b or not math.isfinite(b) for a, b in zip(again.loss, sweep.loss, strict=True)
        )
        return None if same else "changed: the rows that were read"


class JsonTables(Tables):
    """Tables as JSON."""

    name = "runs.json"
    seeds = (JSON, JSON[1:-1].replace(b"}, ", b"}\n"), *known("*.json"))


LOG = "".join(f"INFO width={n} lr={lr} final_loss={loss} rule={v}\n" for v, n, lr, loss in ROWS).encode()
BOX = "┌──┬──┬──┐\n│ width │ lr │ loss │\n" + "".join(f"│ {n} │ {lr} │ {loss} │\n" for _, n, lr, loss in ROWS)
LATEX = "".join(f"{n} & ${lr}$ & \\textbf{{{loss}}} \\\\ \\hline\n" for _, n, lr, loss in ROWS)
HEADS = b"width,sp,,mup,\n,0.1,0.2,0.1,0.2\n" + b"".join(b"%d,3.1,3.2,3.3,3.4\n" % n for n in (64, 128, 256))
CHART = b"Step,w64-lr0.1 - loss,w64-lr0.2 - loss,w128-lr0.1 - loss,w128-lr0.2 - loss\n" + b"1,5,4,3,2\n" * 3


class TextTables(Tables):
    """Tables drawn in text, printed logs, heads of two rows, charts."""

    name = "runs.txt"
    seeds = (
        LOG, BOX.encode(), HEADS, CHART,
        f"\\begin{{tabular}}[t]{{lll}}\nwidth & lr & loss \\\\\n{LATEX}\\end{{tabular}}".encode(),
    )  # fmt: skip


class Parquet(Tables):
    """Parquet files."""

    name = "runs.parquet"
    seeds = (*known("*.parquet"), b"PAR1PAR1")


class Folders(Door):
    """Files in folders of runs: one that cannot be read hides no other run."""

    names = ("config.yaml", "metrics.jsonl", "metrics.csv", "results.json", "trainer_state.json", "train.log")
    seeds = (
        b'{"width": 64, "lr": 0.1, "loss": 3.0, "config": {"lr": 0.2}}\n' * 2,
        b"width: 64\nlr: {value: 0.1}\n", b"epoch,step,val_loss\n0,1,3.5\n1,2,\n2,3,nan\n",
        b'{"log_history": [{"step": 1, "eval_loss": 3.0, "learning_rate": 0.1}]}',
        b"n_embd = 64\nstep 1: train loss 3.0, val loss 3.1\n",
    )  # fmt: skip

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        shutil.rmtree(self.folder / "runs", ignore_errors=True)
        for lr in (0.1, 0.2):
            (self.folder / "runs" / f"sound-{lr}").mkdir(parents=True)
            run = json.dumps({"width": 64, "lr": lr, "loss": 3.0})
            (self.folder / "runs" / f"sound-{lr}" / "results.json").write_text(run)
        (self.folder / "runs" / "other").mkdir()
        for name in draw.sample(self.names, draw.choice((1, 2))):
            (self.folder / "runs" / "other" / name).write_bytes(given)
        try:
            sweep = read(self.folder / "runs", scale="width", hp="lr", loss="loss")
        except HPTransferError as error:
            return None if "\n" not in str(error) else "exit: more than one line"
        return None if {0.1, 0.2} <= set(sweep.hp.tolist()) else "changed: a sound run is missing"


class Where(Door):
    """The expression of `--where`."""

    seeds = (b"width == 64", b"width in [64, 128] and (lr < 0.01 or variant != 'sp')", b"((lr > 1e-3))")

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        table = [{"variant": v, "width": n, "lr": lr, "loss": loss} for v, n, lr, loss in ROWS]
        try:
            kept = read(table, where=given.decode(errors="replace"))
        except HPTransferError as error:
            return None if "\n" not in str(error) else "exit: more than one line"
        return None if len(kept) <= len(table) else "changed: more rows than there were"


class Specs(Door):
    """Specs: what can be read is the same when it is written and read again."""

    seeds = (SPEC, BUILTIN, *known("*.yaml"))

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        path = self.put("spec.yaml", given)
        if draw.random() < 0.05:
            return judged(*ended("plan", path, "--no-budget", "--flops-per-second", "1e9"))
        try:
            spec = load_study(path)
        except HPTransferError as error:
            return None if "\n" not in str(error) else "exit: more than one line"
        again = parse_study(json.loads(json.dumps(spec.model_dump(mode="json"), allow_nan=False)))
        return None if again == spec else "changed: the spec, when it is written and read"


class Changes(Door):
    """`--set KEY=VALUE`."""

    seeds = (
        b"train.steps=100",
        b"widths=[32, 64]",
        b"lr.low=2^-9",
        b"executor={kind: local}",
        b"data.path=x",
    )

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        path = self.put("spec.yaml", BUILTIN)
        try:
            load_study(path, [given.decode(errors="surrogateescape")])
        except HPTransferError as error:
            return None if "\n" not in str(error) else "exit: more than one line"
        return None


class Results(Door):
    """What a call prints: a record that the store gives back as it was, or one line."""

    seeds = (
        b'{"loss": 3.2, "tokens": 10, "curve": [[0, 9.0], [5, null]], "flops": 1e9, "note": "x"}',
        b'{"status": "failed", "error": "=HYPERLINK(1)"}', b'{"loss": null, "diverged_step": 4}',
        b'{"loss": 1, "flops": 1e400}', b'{"loss": 1, "tokens": 99999999999999999999999}',
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.spec = load_study(self.put("spec.yaml", SPEC))
        self.run = self.spec.run("a", 32, 0, 0)

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        try:
            found = command._json(given)
            if found is None:
                return None
            record = command._record(self.run, found, 1.0)
        except command.OwnCodeError as error:
            return None if str(error).isprintable() and len(str(error)) < 2000 else "exit: not one short line"
        if storable(self.run, record) is not record:
            return "changed: a record that no store holds"
        shutil.rmtree(self.folder / "study", ignore_errors=True)
        with Store(self.folder / "study") as store:
            store.add("s", [(self.run, record)])
            again = store.records()[self.run.run_id]
        same = repr(again) == repr(record) or again.status == "diverged"
        return None if same else "changed: a record in the store"


def small_study(folder: Path) -> Path:
    """A finished study in a folder."""
    (folder / "spec.yaml").write_bytes(SPEC)
    spec = load_study(folder / "spec.yaml")
    runs = [(stack, run) for stack in plan(spec, {}) for run in stack.runs]
    with Store(folder / "study") as store:
        store.begin(spec, {"commit": "x"})
        records = [
            (r.spec, RunRecord(r.run_id, "done", 3 + n / 9, tokens=5)) for n, (_, r) in enumerate(runs)
        ]
        store.add("s", records, [place_of(spec, stack.round, run) for stack, run in runs])
    return folder / "study"


class Progress(Door):
    """The progress file, read by `watch`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.study = small_study(folder)
        cell = {"planned": 5, "done": 1, "diverged": 0, "failed": 0, "best": 3.0, "best_lr": 0.1}
        stacks = [{"width": 32, "runs": 1, "step": 2, "steps": 10}]
        whole = {"host": "elsewhere", "pid": 5, "beat": 1, "state": "running", "elapsed": 5.0, "left": None}
        cells = [[v, n, cell] for v in "ab" for n in (32, 64)]
        self.seeds = [json.dumps({**whole, "cells": cells, "running_stacks": stacks}).encode(), b"{}", b"[]"]

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        (self.study / PROGRESS_FILE).write_bytes(given)
        code, out, errors = ended("watch", str(self.study), "--once")
        return judged(code, out, errors) or (f"exit: {code} of watch" if code else None)


class Stores(Door):
    """The store: what is read is what was written, or there is one line; repair keeps what is sound."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.study = small_study(folder)
        self.seeds = [(self.study / STORE_FILE).read_bytes()]
        with Store(self.study, read_only=True) as store:
            self.sound = {run_id: repr(record) for run_id, record in store.records().items()}

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        for path in self.study.glob("study.*"):
            if path.name != COUNT_FILE:
                path.unlink()
        (self.study / STORE_FILE).write_bytes(given)
        fault = judged(*ended("runs", "repair", str(self.study))) if draw.random() < 0.3 else None
        try:
            with Store(self.study, read_only=True) as store:
                found = {run_id: repr(record) for run_id, record in store.records().items()}
        except HPTransferError as error:
            return fault or (None if "\n" not in str(error) else "exit: more than one line")
        wrong = [run_id for run_id, record in found.items() if self.sound.get(run_id) != record]
        return fault or (f"changed: {wrong[0]}" if wrong else None)


class Records(Door):
    """Record tables, as `runs import` reads them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        path = folder / "t.records.csv"
        export_records(small_study(folder), path)
        self.seeds = [path.read_bytes()]

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        self.put("u.records.csv", given)
        try:
            read_records(self.folder / "u.records.csv")
        except HPTransferError as error:
            return None if "\n" not in str(error) else "exit: more than one line"
        return None


class Http(Door):
    """Requests to `serve`: whatever comes, and however early a client leaves, the next one is answered."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = StudyServer(small_study(folder))
        self.at = self.server.server_address
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{self.at[1]}"
        self.good = f"GET /state HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        self.seeds = [
            self.good,
            self.good.replace(b"/state", b"/"),
            b"POST / HTTP/1.0\r\nContent-Length: 9\r\n\r\nx",
        ]

    def ask(self, given: bytes, early: bool) -> bytes:
        """What the server says."""
        with (
            socket.create_connection(("127.0.0.1", self.at[1]), timeout=10) as client,
            contextlib.suppress(OSError),
        ):
            client.sendall(given)
            if early:
                return b""
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(1 << 16), b""))
        return b""

    def feed(self, given: bytes, draw: random.Random) -> str | None:
        before = os.path.getsize("printed") if os.path.exists("printed") else 0
        said = self.ask(given, draw.random() < 0.3)
        if b"Traceback" in said:  # what is no HTTP is answered without a status line, as of old
            return "exit: a traceback is sent"
        if not self.ask(self.good, early=False).startswith(b"HTTP/1.1 200"):
            return "exit: the server answers no more"
        after = os.path.getsize("printed") if os.path.exists("printed") else 0
        return None if after == before else "exit: the server printed something"


DOORS: dict[str, Callable[[Path], Door]] = {
    **{
        "table": Tables,
        "json": JsonTables,
        "text": TextTables,
        "parquet": Parquet,
        "folder": Folders,
        "where": Where,
        "spec": Specs,
        "set": Changes,
    },
    **{"result": Results, "progress": Progress, "store": Stores, "records": Records, "http": Http},
}
