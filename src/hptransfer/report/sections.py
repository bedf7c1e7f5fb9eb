"""The sections of the page, top to bottom, as HTML: answer, figures, tables, words, provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from hptransfer.quantify.result import Estimate, HoldOut, Prediction, TransferFit, VariantFit
from hptransfer.report import content, markup, palette, view, words
from hptransfer.report import format as fmt


def opening(fit: TransferFit, heading: str, variants: Sequence[VariantFit]) -> str:
    """The heading and the answer: verdict, value to use and reason of every variant."""
    items = "\n".join(_answer(fit, v) for v in variants)
    crowd = " crowd" if len(variants) > 6 else ""
    notes = "".join(f'<p class="extent user">{escape(note)}</p>' for note in fit.landscape.notes)
    return (
        f'<header>\n<h1 class="user">{escape(heading)}</h1>\n'
        f'<p class="lead user">{escape(words.headline(fit))}</p>\n'
        f'<p class="extent">{escape(words.extent(fit))}.</p>{notes}\n</header>\n'
        f'<section aria-label="The answer">\n<ul class="answer{crowd}">\n{items}\n</ul>\n'
        f"{_left_out(fit, variants, 'listed')}</section>"
    )


def _answer(fit: TransferFit, variant: VariantFit) -> str:
    verdict = variant.verdict
    who = (
        f'<div><div class="who">{escape(variant.name)}</div>'
        f'<div class="verdict"><span class="mark {verdict.value}"></span>{verdict.value}</div></div>'
    )
    safe = verdict.value in ("invariant", "predictable")
    uses = (
        "".join(_use(fit, p, safe) for p in variant.predictions)
        or '<div class="use">No target asked for.</div>'
    )
    reason = markup.minus(escape(verdict.reason.rstrip(".")))
    why = [f"<p>{words.VERDICTS[verdict.value].capitalize()}: {reason}.</p>"]
    check = words.holdout_sentence(fit, variant)
    if check:
        why.append(f"<p>{escape(check)}</p>")
    if verdict.suggested:
        why.append(f"<p>Would settle it: {escape(words.suggestions(verdict.suggested, fit))}.</p>")
    return f'<li>{who}<div>{uses}</div><div class="why">{"".join(why)}</div></li>'


def _use(fit: TransferFit, prediction: Prediction, safe: bool) -> str:
    """The value to use at a target, large; where the optimum is expected, below; grey where it is a guess."""
    columns = fit.landscape.columns
    where = f"{escape(columns.hp)} at {escape(columns.scale)} {fmt.scale(prediction.scale)}"
    head = f"{where}<b>" if safe else f'Best guess of {where}<b class="guess">'
    if not fmt.known(prediction.hp.value):
        return f'<div class="use">{escape(words.advice(fit, prediction))}</div>'
    use = words.recommended(prediction) if prediction.hp_recommended is not None else prediction.hp
    span = markup.number(fmt.hp_interval(prediction.hp))
    return (
        f'<div class="use">{head}{markup.number(fmt.decimal(use))}</b>'
        f"{markup.number(fmt.power_of_two(use))}; optimum in {span}</div>"
    )


def figures(fit: TransferFit, variants: Sequence[VariantFit]) -> str:
    """The three figures with their captions and empty panels, which the script fills by index."""
    columns = fit.landscape.columns
    hp, scale = escape(columns.hp), escape(columns.scale)
    level = words.level(fit)
    left_out = _left_out(fit, variants, "drawn")
    many = len(variants) > 1
    together = "All panels share their axes. " if many else ""
    others = "Grey lines are the laws of the other variants. " if many else ""
    basins = (
        f"Each dot is a run, each curve the fitted basin of one {scale}. The orange path joins the optima, "
        f"with their {level} intervals: a vertical path means that {hp} carries over, a slanted one that it "
        "drifts. Runs with no place on the loss axis stand in the strip above it, one row a "
        f"{scale}. {together}Drag to zoom, double-click to return."
    )
    optimum = (
        f"The measured optima with their intervals, the law through them (dashed beyond the largest {scale} "
        f"measured) and its {level} prediction band. The number is the value to use at the target. "
        f"{others}See whether the dots leave the band."
    )
    loss = f"The loss at the optimum with its law; lower is better at the same {scale}. {others}"
    return "\n".join(
        (
            f'<section>\n<h2>Loss against {hp} at each {scale}</h2>\n<p class="caption">{basins}</p>\n'
            f"{_key(fit, variants)}{_panels('basins', variants, columns.hp)}{left_out}</section>",
            f'<section>\n<h2>Where the optimum goes</h2>\n<p class="caption">{optimum}</p>\n'
            f"{_panels('hp', variants, columns.hp)}{left_out}</section>",
            f'<section>\n<h2>What more {scale} buys</h2>\n<p class="caption">{loss}</p>\n'
            f"{_panels('loss', variants, columns.loss)}{left_out}</section>",
        )
    )


def _panels(figure: str, variants: Sequence[VariantFit], quantity: str) -> str:
    items = []
    for i, variant in enumerate(variants):
        why = ""
        if figure != "basins" and figure not in variant.laws:
            why = f'<p class="no-law">No law: {escape(words.no_law(variant))}.</p>'
        label = escape(f"{variant.name}: {_spoken(variant, quantity)}", quote=True)
        items.append(
            f'<div class="panel"><h3>{escape(variant.name)}</h3>{why}'
            f'<div class="plot" role="img" data-figure="{figure}" data-panel="{i}" aria-label="{label}">'
            "</div></div>"
        )
    few = {1: " one", 2: " two"}.get(len(variants), "")
    return f'<figure class="panels{few}">{"".join(items)}</figure>\n'


def _spoken(variant: VariantFit, quantity: str) -> str:
    """What a panel shows, for those who do not see it."""
    optima = [f"{fmt.decimal(o.hp)} at {fmt.scale(o.scale)}" for o in variant.optima if fmt.known(o.hp.value)]
    return f"{quantity}; optimum {', '.join(optima)}" if optima else f"{quantity}; no optimum found"


def _key(fit: TransferFit, variants: Sequence[VariantFit]) -> str:
    scales = view.scales_of(fit, variants)
    items = [f"<li>{escape(fit.landscape.columns.scale)}</li>"]
    for n, colour in zip(scales, palette.sequence(len(scales)), strict=True):
        line = f'<path d="M0 5H18" stroke="{colour}" stroke-width="1.6"/>'
        mark = f'{line}<circle cx="9" cy="5" r="2.6" fill="{colour}"/>'
        items.append(f"<li>{_mark(mark)}{fmt.scale(n)}</li>")
    path = f'<path d="M0 5H18" stroke="{palette.ACCENT}" stroke-width="2.2"/>'
    items.append(f"<li>{_mark(path + _disc(palette.ACCENT))}optimum</li>")
    cross = f'<path d="M6 2l6 6M12 2l-6 6" stroke="{palette.GREY}" stroke-width="1.3"/>'
    items.append(f"<li>{_mark(cross)}diverged</li>")
    up = f'<path d="M9 2l3.5 6h-7z" stroke="{palette.GREY}" fill="none"/>'
    items.append(f"<li>{_mark(up)}loss above the frame</li>")
    return f'<ul class="key">{"".join(items)}</ul>\n'


def _mark(shape: str) -> str:
    return f'<svg width="18" height="10" viewBox="0 0 18 10" aria-hidden="true">{shape}</svg>'


def _disc(colour: str) -> str:
    return f'<circle cx="9" cy="5" r="3.4" fill="{colour}" stroke="#fff"/>'


def tables(fit: TransferFit, variants: Sequence[VariantFit]) -> str:
    """Metrics, hold-out check, predictions, regret, optima, and whatever else was measured."""
    scale = escape(fit.landscape.columns.scale)
    left_out = _left_out(fit, variants, "listed")
    main, other = content.main_metrics(fit), content.other_metrics(fit)
    parts = [
        _section(
            "Metrics",
            _metrics(fit, variants, main),
            "Each number with its interval, drawn to "
            "the same scale down a column; the grey line is zero. Every head is explained in the glossary.",
            left_out,
        )
    ]
    parts.append(
        _section(
            "Hold-out check",
            _holdouts(fit, variants),
            f"The law refitted without the largest {scale}, asked for the optimum there, and compared with "
            "what was found. Orange: predicted; black: found; in octaves about the value found. "
            "A method that fails here should not be trusted further out.",
            left_out,
        )
    )
    parts.append(
        _section("Predictions", markup.table(content.predictions(fit, variants), group=True), "", left_out)
    )
    parts.append(
        _section(
            "Transfer regret",
            _regret(variants),
            f"Loss given up, in nats, by using the optimum of the row's {scale}, unchanged, at the column's.",
            left_out,
        )
    )
    parts.append(
        _section(
            f"Optimum at each {scale}", markup.table(content.optima(fit, variants), group=True), "", left_out
        )
    )
    if other:
        parts.append(_section("Laws and further measures", _metrics(fit, variants, other), "", left_out))
    return "\n".join(parts)


def _section(title: str, body: str, caption: str, left_out: str) -> str:
    lead = f'<p class="caption">{caption}</p>\n' if caption else ""
    return f"<section>\n<h2>{title}</h2>\n{lead}{body}\n{left_out}</section>"


def _metrics(fit: TransferFit, variants: Sequence[VariantFit], names: tuple[str, ...]) -> str:
    strips = {
        words.metric(name).label: markup.interval_strip([v.metrics.get(name, Estimate()) for v in variants])
        for name in names
    }
    return markup.table(content.metrics(fit, variants, names, "Metrics"), strips)


def _holdouts(fit: TransferFit, variants: Sequence[VariantFit]) -> str:
    checks = [h for v in variants for h in v.holdouts]
    reach = max((_reach(h) for h in checks), default=0.0)
    strips = {id(h.predicted): markup.holdout_strip(h.predicted, h.found, reach) for h in checks}
    draw = lambda item: strips.get(id(item), "")  # noqa: E731
    return markup.table(content.holdouts(fit, variants), {"interval": draw})


def _reach(check: HoldOut) -> float:
    """Octaves from the value found that a hold-out strip must show; at most three."""
    centre = fmt.octaves(check.found).value
    items = (fmt.octaves(check.predicted), fmt.octaves(check.found))
    ends = [e for item in items for e in (item.value, item.low, item.high) if e is not None]
    return min(max((abs(e - centre) for e in ends), default=0.0), 3.0) if centre is not None else 0.0


def _regret(variants: Iterable[VariantFit]) -> str:
    """A triangle a variant: row, the scale whose optimum is used; column, the scale where."""
    triangles = []
    for variant in variants:
        pairs = {(r.source, r.to): r.regret for r in variant.regret}
        sources, targets = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
        heads = "".join(f'<th scope="col">at {fmt.scale(n)}</th>' for n in targets)
        lines = []
        for source in sources:
            cells = "".join(f"<td>{_pair(pairs.get((source, n)))}</td>" for n in targets)
            lines.append(f'<tr><th scope="row" class="l">from {fmt.scale(source)}</th>{cells}</tr>')
        if lines:
            top = f"<thead><tr><td></td>{heads}</tr></thead>"
            triangles.append(
                f'<div><h3>{escape(variant.name)}</h3><div class="scroll"><table>{top}'
                f"<tbody>{''.join(lines)}</tbody></table></div></div>"
            )
    if not triangles:
        return '<p class="note">Needs optima at two scales of a variant.</p>'
    return f'<div class="triangles">{"".join(triangles)}</div>'


def _pair(item: Estimate | None) -> str:
    value, _, span = fmt.estimate(item).partition(" ") if item is not None else ("", "", "")
    return markup.stacked(value, span)


def flags(fit: TransferFit, variants: Sequence[VariantFit]) -> str:
    """What every flag means and where it was raised; nothing where none was."""
    notes = words.flag_notes(variants, fit.landscape.columns.scale)
    if not notes:
        return ""
    items = "".join(
        f'<div id="{markup.anchor("flag " + flag)}"><dt>{escape(flag)}</dt>'
        f"<dd>{markup.typeset(meaning) + '. ' if meaning != flag else ''}"
        f'<span class="note user">{escape(places)}</span></dd></div>'
        for flag, meaning, places in notes
    )
    return f'<section>\n<h2>Flags</h2>\n<dl class="glossary">{items}</dl>\n</section>'


def glossary(fit: TransferFit) -> str:
    """The definition of every column head on the page."""
    entries: dict[str, str] = {}
    tables = (
        content.metrics(fit, (), (*content.main_metrics(fit), *content.other_metrics(fit)), ""),
        content.holdouts(fit, ()),
        content.predictions(fit, ()),
        content.optima(fit, ()),
    )
    for table in tables:
        for column in table.columns:
            if column.definition:
                entries.setdefault(column.title, column.definition)
    items = "".join(
        f'<div id="{markup.anchor(title)}"><dt>{markup.typeset(title)}</dt>'
        f"<dd>{markup.typeset(text)}</dd></div>"
        for title, text in entries.items()
    )
    return f'<section>\n<h2>Glossary</h2>\n<dl class="glossary">{items}</dl>\n</section>'


def provenance(fit: TransferFit) -> str:
    """Version, source, whatever the study recorded of itself, and every setting of the fit."""
    source = fit.landscape.source
    facts: list[tuple[str, Any]] = [("hptransfer", fit.version)]
    facts += [("source", source.path), ("sha256 of source", source.sha256)]
    facts += [*_flat("", fit.provenance), *_flat("", fit.settings)]
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd><code>{escape(_plain(value))}</code></dd></div>"
        for name, value in facts
        if value is not None
    )
    return f'<section>\n<h2>Where this came from</h2>\n<dl class="facts">{items}</dl>\n</section>'


def _flat(head: str, value: Any) -> list[tuple[str, Any]]:
    """Nested settings as dotted names."""
    if not isinstance(value, Mapping):
        return [(head, value)]
    return [
        pair for key, item in value.items() for pair in _flat(f"{head}.{key}" if head else str(key), item)
    ]


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _left_out(fit: TransferFit, shown: Sequence[VariantFit], how: str) -> str:
    total = len(fit.variants)
    if total == len(shown):
        return ""
    return (
        f'<p class="note">The first {len(shown):,} of {total:,} variants are {how}; the JSON holds all.</p>\n'
    )
