// Who reads: on a phone, where the graph is in a drawer; on paper, where every step stands one below the other; in
// which language; and in a notebook.

const reader = (() => {
  const get = (id) => document.getElementById(id);
  const PRINTED = 60; // steps that are printed at each end of a long lesson

  // ---- the drawer

  const section = get("graph-section");
  const drawer = element("button", { type: "button", id: "drawer", "aria-expanded": "false", "aria-controls": "graph", onclick: () => open(!section.classList.contains("pulled")) });
  function open(wanted) {
    section.style.setProperty("--header", `${document.querySelector("header").offsetHeight}px`);
    section.classList.toggle("pulled", wanted);
    drawer.setAttribute("aria-expanded", String(wanted));
    window.dispatchEvent(new Event("resize")); // the graph has room now
    main.redraw();
  }
  const pull = () => drawer.getClientRects().length && open(true); // where there is one
  const close = () => section.classList.contains("pulled") && open(false);
  document.querySelectorAll('[role="tab"]').forEach((tab) => tab.addEventListener("click", close)); // to see what it shows
  document.addEventListener("keydown", ({ key }) => key === "Escape" && close());

  // ---- paper

  const handout = element("div", { id: "handout", hidden: true });
  const inText = window.parent !== window; // as a figure, which has room for its graph alone
  function steps() {
    const positions = Array.from({ length: lesson.last + 1 }, (_, k) => k);
    const left = positions.length - 2 * PRINTED;
    const shown = left > 0 ? [...positions.slice(0, PRINTED), null, ...positions.slice(-PRINTED)] : positions;
    return shown.map((position) => (position === null ? element("p", { class: "note" }, say("{n} steps are left out here.", { n: left })) : element("article", {}, stepView.content(position))));
  }
  function printed() {
    shades.onPaper = true;
    const sheets = inText ? [graphView.picture().picture] : graphView.sheets();
    handout.replaceChildren(...sheets.map((sheet) => element("figure", { class: "drawn" }, sheet)), ...(inText ? [] : steps()));
    handout.querySelectorAll("[id]").forEach((each) => each.removeAttribute("id")); // which the page has already
    formulas.fitOnPaper(handout);
    handout.hidden = false;
    document.body.classList.add("printing");
    document.body.classList.toggle("in-text", inText);
  }
  function put() {
    shades.onPaper = false;
    handout.replaceChildren();
    handout.hidden = true;
    document.body.classList.remove("printing");
    main.redraw();
  }

  // ---- the language

  // What the page is made with, before any script writes in it.
  const texts = [...document.querySelectorAll("header [aria-label], main [aria-label], .skip, h2, [role=tab]")].flatMap((each) => {
    const label = each.getAttribute("aria-label");
    const own = each.childElementCount === 0 && each.textContent.trim() ? each.textContent : null;
    return [{ each, label, own, hint: each.title || (each.matches("button, select") ? label : null) }];
  });
  const choice = element("select", { id: "language", onchange: () => (language.choose(choice.value), translate(), main.redraw()) }, Object.entries(language.all).map(([code, name]) => element("option", { value: code }, name)));

  function translate() {
    document.documentElement.lang = language.now();
    choice.value = language.now();
    choice.setAttribute("aria-label", say("Language"));
    for (const { each, label, own, hint } of texts) {
      if (label) each.setAttribute("aria-label", say(label));
      if (own) each.textContent = say(own);
      if (hint) each.title = say(hint);
    }
    drawer.textContent = say("The graph");
    get("key").textContent = lesson.nodes.some((node) => node.value.shape.length) ? say("In each box: the value on the left, its gradient on the right. Blue: below zero. Orange: above.") : say("In each box: the value on the left, and its gradient g on the right.");
    entitle(say("The backward pass of {root}", { root: lesson.nodes[lesson.root].name }));
    lossView.draw();
  }

  // ---- the notebook around it, which is told the numbers that are others now, with all their digits

  const written = ([i, { data }]) => [lesson.nodes[i].name, Array.from(data, String)];
  const report = () => window.parent.postMessage({ changed: Object.fromEntries([...lesson.changes()].map(written)) }, "*");


  // The numbers that the notebook has already, when this page is drawn once more, such as after it was scrolled away.
  function restore({ source, data }) {
    if (source !== window.parent || !data?.restored) return;
    const leaves = lesson.leaves.filter((i) => data.restored[lesson.nodes[i].name]);
    lesson.change(leaves.map((i) => [i, { ...lesson.value(i), data: data.restored[lesson.nodes[i].name].map(Number) }]));
    main.redraw();
  }

  function start() {
    if (inText) {
      lesson.listeners.push(report);
      window.addEventListener("message", restore);
    }
    section.prepend(element("h2", { class: "drawer" }, drawer));
    document.body.append(handout);
    document.querySelector("header").append(choice);
    onPaper(printed, put);
    translate();
  }

  return { pull, start };
})();

reader.start();
