"""Whose beta is in kappa: of the power family, of the offset family, or of that within bounds?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.quantify.result import Estimate
from papers.data import Fitted, decays, fitted, published, the_sixteen, variant_of
from papers.effects import effects, spearman
from papers.page import Page
from papers.parametrizations import in_print, study, theirs

BOUNDS = (0.0, 2.0)  # of the offset family's beta, as the published values of kappa suggest
FAMILIES = ("power family", "offset family", "offset family, beta in [0, 2]")


def kappas(fitted_: Fitted, decay: float, family: str) -> dict[str, float]:
    """Kappa by rule with beta of a family."""
    out = {}
    for rule in the_sixteen():
        m = fitted_.fit.variants[variant_of(rule, decay)].metrics
        beta = (
            m["beta"].value
            if family == "power family"
            else m["beta_offset"].value
            if "beta_offset" in m
            else None
        )
        alpha, gamma = m["alpha"].value, m["gamma"].value
        if alpha is None or beta is None or gamma is None:
            continue
        bounded = float(np.clip(beta, *BOUNDS)) if family == FAMILIES[2] else beta
        out[rule] = alpha - 2 * bounded + gamma
    return out


def section(page: Page) -> None:
    """The section on whose beta kappa takes."""
    page.head("Whose beta is in kappa")
    page.text(
        "Kappa needs an exponent beta of the optimum's law: of the power family eta* = C n^-beta, or of the "
        "offset family eta* = eta_inf + B n^-beta, perhaps with beta kept in [0, 2]. For the power family "
        "the coordinates of the learning rate do not matter; for the offset family they do."
    )
    frame = published()
    if frame is not None:
        values = frame["kappa"].dropna()
        quarters = ", ".join(f"{q:.2f}" for q in np.quantile(values, [0.25, 0.5, 0.75]))
        page.text(
            f"Of {len(values)} published values {int((values < 0).sum())} are negative; their quartiles are "
            f"{quarters}. With beta at 2 and at 0, kappa differs by 4."
        )
    rows = []
    for decay in decays():
        other = in_print("kappa", decay)
        for coordinates in ("mup", "sp"):
            rows += [_row(decay, coordinates, family, other) for family in FAMILIES]
        rows.append(
            (
                f"{decay:g}",
                "",
                "**published**",
                f"{np.median(list(other.values())):.2f}",
                _negative(other),
                "",
                "",
                theirs("kappa", decay)["embd"].by_spread,
            )
        )
    page.table(
        [
            "weight decay",
            "coordinates",
            "beta of",
            "median",
            "negative",
            "beta at a bound",
            "rank correlation with published",
            "effect of `embd`",
        ],
        rows,
    )


def _row(
    decay: float, coordinates: Coordinates, family: str, other: Mapping[str, float]
) -> tuple[str | Estimate, ...]:
    whole = study() if coordinates == "mup" else fitted(*decays().values(), coordinates="sp")
    values = kappas(whole, decay, family)
    metrics = [whole.fit.variants[variant_of(r, decay)].metrics for r in values]
    betas = [m["beta_offset"].value for m in metrics if "beta_offset" in m]
    bound = sum(b is not None and not BOUNDS[0] < b < BOUNDS[1] for b in betas)
    at_bound = f"{bound} of {len(values)}" if family == FAMILIES[2] else ""
    effect = effects(values)["embd"].by_spread
    return (
        f"{decay:g}",
        coordinates,
        family,
        f"{np.median(list(values.values())):.2f}",
        _negative(values),
        at_bound,
        spearman(values, other).estimate,
        effect,
    )


def _negative(values: Mapping[str, float]) -> str:
    return f"{sum(v < 0 for v in values.values())} of {len(values)}"
