// Text and figure: a link takes a figure to a step, and the links of the step that a figure shows are marked.
(() => {
  const links = [...document.querySelectorAll('a[target^="page-"]')];
  const frameOf = (link) => document.querySelector(`iframe[name="${link.target}"]`);
  for (const link of links) {
    const frame = frameOf(link);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      frame.loading = "eager"; // one that nobody has seen yet is not loaded
      if (frame.dataset.loaded) frame.contentWindow.location.replace(link.href);
      else frame.src = link.href;
      frame.scrollIntoView({ block: "nearest" });
    });
    const mark = (on) => () => frame.parentElement.classList.toggle("spoken-of", on);
    for (const [name, on] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]]) link.addEventListener(name, mark(on));
  }
  window.addEventListener("message", (event) => {
    const frame = [...document.querySelectorAll("figure.page iframe")].find((each) => each.contentWindow === event.source);
    if (!frame || !Number.isInteger(event.data?.step)) return;
    frame.dataset.loaded = "yes";
    for (const link of links.filter((each) => each.target === frame.name)) {
      if (link.href.endsWith(`#step=${event.data.step}`)) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
    }
  });
})();
