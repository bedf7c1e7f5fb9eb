// Names for screen readers that the theme leaves empty, and a place in the order of the Tab key for what scrolls.
function name_parts() {
  document.querySelector(".md-search[role=dialog]")?.setAttribute("aria-label", "Search");
  for (const nav of document.querySelectorAll("nav[aria-labelledby]")) {
    const label = document.getElementById(nav.getAttribute("aria-labelledby"));
    const title = nav.querySelector(".md-nav__title")?.textContent.trim();
    if (!label?.textContent.trim() && title) {
      nav.removeAttribute("aria-labelledby");
      nav.setAttribute("aria-label", `Pages: ${title}`);
    }
  }
  document.querySelectorAll("nav.md-code__nav").forEach((nav, i) => nav.setAttribute("aria-label", `Code block ${i + 1}`));
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code, .highlight pre"))
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
}
window.addEventListener("load", () => {
  name_parts();
  new MutationObserver(name_parts).observe(document.querySelector("main"), { childList: true, subtree: true });
});
window.addEventListener("resize", name_parts);
