// Draws the panels from the page's own data, keeps the panels of a figure on one pair of axes, and
// fits them to paper when the page is printed. Nothing is fetched.
"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset", showTips: false };
  const plots = [...document.querySelectorAll(".plot")];

  for (const plot of plots) {
    const panel = figures[plot.dataset.figure][Number(plot.dataset.panel)];
    if (touch) panel.layout.dragmode = false; // a finger scrolls the page
    Plotly.newPlot(plot, panel.data, panel.layout, config);
    plot.on("plotly_relayout", (change) => follow(plot, change));
  }

  // Zooming one panel zooms its figure; the panels that follow do not lead in turn.
  let following = false;
  function follow(leader, change) {
    const moved = Object.keys(change).some((key) => /^[xy]axis\.(range|autorange)/.test(key));
    if (following || !moved) return;
    following = true;
    const { xaxis, yaxis } = leader.layout;
    const update = { "xaxis.range": [...xaxis.range], "yaxis.range": [...yaxis.range] };
    const group = plots.filter((plot) => plot !== leader && plot.dataset.figure === leader.dataset.figure);
    Promise.all(group.map((plot) => Plotly.relayout(plot, update))).finally(() => { following = false; });
  }

  // A printed panel is as wide as the style sheet's print columns, whatever the window was.
  let printing = false;
  function toPaper(on) {
    if (on === printing) return;
    printing = on;
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
