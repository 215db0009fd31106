// What is wider than its place can be moved with the arrow keys, too.
for (const moment of ["load", "resize"]) {
  addEventListener(moment, () => {
    for (const wide of document.querySelectorAll(".highlight pre, .formula, .table-wrapper, .picture")) {
      if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
      else wide.removeAttribute("tabindex");
    }
  });
}
// The theme has two regions of one kind, and no names for them.
document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "Pages");
document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
