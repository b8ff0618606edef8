// Names for what the theme and the notebooks leave without one, so that everyone can use the pages.
document.addEventListener("DOMContentLoaded", async () => {
  // A label that says less than the text on the button hides that text.
  for (const one of document.querySelectorAll("button.search-button-field, details.hide > summary")) one.removeAttribute("aria-label");
  for (const summary of document.querySelectorAll(".bd-sidebar-primary summary")) {
    const page = summary.closest("li")?.querySelector("a");
    if (page) summary.setAttribute("aria-label", `Pages under ${page.textContent.trim()}`);
  }
  // A formula wider than a telephone is scrolled, with the keyboard too.
  await window.MathJax?.startup?.promise;
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
  }
});
