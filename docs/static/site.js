// What is wider than its place can be moved with the arrow keys, too.
addEventListener("load", () => {
  for (const wide of document.querySelectorAll(".highlight pre, .formula, .table-wrapper")) if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
});
