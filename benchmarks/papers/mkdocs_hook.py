"""Puts plotly.js, which the package carries for its reports, beside the pages' interactive figures."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "src" / "hptransfer" / "report" / "assets" / "plotly" / "plotly-cartesian.min.js"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the script to the site's files."""
    place = f"papers/figures/{SCRIPT.name}"
    files.append(File.generated(config, place, abs_src_path=str(SCRIPT)))
    return files
