// Draws the panels from the page's own data, keeps the panels of a figure on one pair of axes, and
// fits them to paper when the page is printed. Nothing is fetched.
"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset", showTips: false };
  const plots = [...document.querySelectorAll(".plot")];

  // Drawn from the top, a little at a time, so that a page of a hundred panels can be read at once.
  const waiting = [...plots];
  const drawn = (plot) => !waiting.includes(plot);
  function draw(milliseconds) {
    const start = performance.now();
    while (waiting.length && performance.now() - start < milliseconds) {
      const plot = waiting[0];
      const panel = chosen(plot);
      if (touch) panel.layout.dragmode = false; // a finger scrolls the page
      Plotly.newPlot(plot, panel.data, panel.layout, config);
      plot.on("plotly_relayout", (change) => follow(plot, change));
      waiting.shift();
    }
    if (waiting.length) setTimeout(draw, 0, milliseconds);
  }
  setTimeout(draw, 0, 60);

  // A figure with choices has a panel for each; a panel's key is its own number and what is chosen.
  function chosen(plot) {
    const { figure, panel } = plot.dataset;
    const all = figures[figure];
    if (Array.isArray(all)) return all[Number(panel)];
    const form = document.querySelector(`.controls[data-for="${figure}"]`);
    const key = [panel, ...(form ? [...form.elements].map((choice) => choice.value) : [])];
    return all[key.filter((part) => part !== undefined).join("|")] || { data: [], layout: {} };
  }
  for (const form of document.querySelectorAll(".controls[data-for]")) {
    form.addEventListener("change", () => {
      for (const plot of plots.filter((plot) => drawn(plot) && plot.dataset.figure === form.dataset.for)) {
        const { data, layout } = chosen(plot);
        Plotly.react(plot, data, { ...layout, dragmode: touch ? false : undefined }, config);
      }
    });
  }

  // A filter hides what it does not name: traces of the diagram, and panels and rows of such variants.
  for (const form of document.querySelectorAll(".controls[data-filters]")) {
    form.addEventListener("change", () => {
      const wanted = [...form.elements].filter((choice) => choice.value);
      const plot = document.querySelector(`.plot[data-figure="${form.dataset.filters}"]`);
      const tags = Object.entries(JSON.parse(form.dataset.tags));
      const hidden = new Set(tags.filter(([, tag]) => !wanted.every((c) => tag[c.name] === c.value)).map(([name]) => name));
      Plotly.restyle(plot, { visible: plot.data.map((trace) => !hidden.has(trace.meta.name)) });
      for (const part of document.querySelectorAll("[data-variant]")) {
        part.hidden = hidden.has(part.dataset.variant);
        if (!part.hidden) part.querySelectorAll(".js-plotly-plot").forEach((p) => Plotly.Plots.resize(p));
      }
    });
  }

  // Between ticks that are powers: whole exponents as long as two of them fit, as `_step` in Python has it.
  const step = (span) => (span >= 2 ? Math.ceil(span / 7) : 2 ** Math.floor(Math.log2(span / 3)));

  // Zooming one panel zooms its figure; the panels that follow do not lead in turn.
  let following = false;
  function follow(leader, change) {
    const moved = Object.keys(change).some((key) => /^[xy]axis\.(range|autorange)/.test(key));
    if (following || !moved) return;
    following = true;
    const { xaxis, yaxis } = leader.layout;
    const update = { "xaxis.range": [...xaxis.range], "yaxis.range": [...yaxis.range] };
    for (const [name, axis] of Object.entries({ xaxis, yaxis })) {
      if ((axis.tickprefix || "").endsWith("<sup>")) update[`${name}.dtick`] = step(Math.abs(axis.range[1] - axis.range[0]));
    }
    const group = plots.filter((plot) => drawn(plot) && plot.dataset.figure === leader.dataset.figure);
    Promise.all(group.map((plot) => Plotly.relayout(plot, update))).finally(() => { following = false; });
  }

  // A printed panel is as wide as the style sheet's print columns, whatever the window was.
  let printing = false;
  function toPaper(on) {
    if (on === printing) return;
    printing = on;
    draw(Infinity);
    for (const plot of plots) {
      const alone = plot.closest(".panels").classList.contains("one");
      const size = alone ? { width: 640, height: 340 } : { width: 330, height: 250 };
      if (on) Plotly.relayout(plot, size);
      else Plotly.relayout(plot, { width: null, height: null, autosize: true });
    }
  }
  addEventListener("beforeprint", () => toPaper(true));
  addEventListener("afterprint", () => toPaper(false));
  matchMedia("print").addEventListener("change", (event) => toPaper(event.matches));
})();
