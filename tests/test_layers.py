import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch",
    "pandas",
    "matplotlib",
    "plotly",
    "scipy.optimize",
    "scipy.stats",
    "rich",
    "typer",
    "pydantic",
)


def test_a_package_imports_only_from_those_below_it():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def loaded(code: str) -> list[str]:
    code = f"import sys\n{code}\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded("import hptransfer; hptransfer.quantify, hptransfer.read") == []


def test_the_command_line_starts_without_numbers_or_frames():
    code = "from hptransfer.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass"
    assert set(loaded(code)) <= {"typer", "rich", "pydantic"}


def test_the_public_names_are_there():
    import hptransfer as hpt

    assert all(hasattr(hpt, name) for name in hpt.__all__)
    assert callable(hpt.quantify)
