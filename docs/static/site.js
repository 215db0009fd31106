// What is wider than its place can be moved with the arrow keys, too.
addEventListener("load", () => {
  for (const wide of document.querySelectorAll(".highlight pre, .formula, .table-wrapper")) if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
});
// The theme has two regions of one kind, and no names for them.
document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "Pages");
document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
