"""Reports: terminal tables, plots, one self-contained HTML page."""
