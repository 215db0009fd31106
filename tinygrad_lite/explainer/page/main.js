// The page as a whole: which step is shown, which tensor is chosen, and who is told.

const main = (() => {
  const get = (id) => document.getElementById(id);
  const tabs = ["step", "tensor", "optimizer", "quiz"];
  const marks = lesson.nodes.map((_, i) => i).filter((i) => lesson.nodes[i].marks);
  let [position, selected, tab] = [0, lesson.root, "step"];
  let arriving = false; // while the values or contributions of the step are still on their way

  const fromAddress = (url = location.hash) => {
    const found = /#step=(\d+)$/.exec(url);
    return found ? Math.min(+found[1], lesson.last) : null;
  };

  // What the graph shows at a position, by default that of the page.
  function state(shown = position) {
    const at = lesson.at(shown);
    // Backward steps that have had their turn; while a question is asked, those before it
    const done = shown - arriving;
    const all = at.phase === "start"; // the first view shows what there will be
    const back = tab === "quiz" ? quizView.turn() : all ? lesson.steps.length : done - lesson.operations.length;
    const active = tab !== "quiz" && at.phase === "backward" ? lesson.steps[at.turn] : null;
    return {
      phase: at.phase,
      step: active,
      arriving,
      current: at.node ?? null,
      selected,
      hasValue: (i) => !lesson.isOperation(lesson.nodes[i]) || tab === "quiz" || all || lesson.forwardPosition(i) <= done,
      gradient: (i) => lesson.gradientAfter(i, back),
      isComplete: (i) => lesson.received[i].every(([turn]) => turn < back),
      share: (i) => lesson.received[i].filter(([turn]) => turn < back).length / lesson.received[i].length,
      takes: (i) => tab !== "quiz" && at.phase === "forward" && at.node === i,
      edge: (i, input) => {
        if (!active || active.node !== i) return null;
        const k = active.to.findIndex((each) => each.input === input);
        return k < 0 ? null : k;
      },
      marksIn: (group) => marks.filter((i) => groups.visible(i) === group).length,
      currentIn: (group) => at.node !== undefined && groups.visible(at.node) === group,
      turnIn: (loop) => {
        const k = at.node === undefined ? -1 : lesson.forwardPosition(at.node) - 1;
        return k >= loop.start && k < loop.stop ? Math.floor((k - loop.start) / loop.length) : null;
      },
    };
  }

  function status() {
    const at = lesson.at(position);
    if (at.phase === "start") return say("Start: {operations} forward, then {steps} backward", { operations: counted(lesson.operations.length, "operation"), steps: counted(lesson.steps.length, "step") });
    const node = lesson.nodes[at.node];
    if (at.phase === "forward") return `${say("Forward {k} of {n}", { k: position, n: lesson.operations.length })}: ${node.name} = ${node.formula}`;
    const targets = lesson.steps[at.turn].to.map((each) => lesson.nodes[each.node].name);
    return say("Backward {k} of {n}: the gradient of {node} goes to {targets}", { k: at.turn + 1, n: lesson.steps.length, node: node.name, targets: targets.join(say(" and to ")) || say("nothing") });
  }

  // The change of the loss shows that numbers have changed; who does not see it, hears it.
  const writeStatus = () => get("status").replaceChildren(status(), lesson.changed() ? element("span", { class: "unseen" }, ` ${say("(with changed numbers)")}`) : "");

  // Writes the step into the address, once where steps follow each other: browsers refuse to do it hundreds of times.
  let written = null;
  function address() {
    clearTimeout(written);
    written = setTimeout(() => {
      if (fromAddress() !== position && location.protocol !== "about:") history.replaceState(null, "", `#step=${position}`);
    }, 50);
  }

  function go(to, { arriving: onTheWay = false, playing = false } = {}) {
    if (!playing) play.stop();
    else if (tab !== "step") open("step");
    arriving = onTheWay;
    position = Math.min(Math.max(to, 0), lesson.last);
    address();
    const at = lesson.at(position);
    if (at.node !== undefined) selected = at.node;
    get("slider").value = position;
    get("slider").setAttribute("aria-valuetext", status());
    writeStatus();
    for (const id of ["first", "previous"]) get(id).disabled = position === 0;
    for (const id of ["next", "last"]) get(id).disabled = position === lesson.last;
    if (at.node !== undefined) graphView.show(at.node, state());
    else graphView.draw(state());
    panel();
    if (window.parent !== window) window.parent.postMessage({ step: position }, "*"); // to the text around it
  }

  // What was on its way is there.
  function arrived() {
    if (!arriving) return;
    arriving = false;
    graphView.draw(state());
  }

  function panel() {
    if (tab === "step") stepView.show(position);
    else if (tab === "tensor") tensorView.show(selected);
    else if (tab === "optimizer") optimizerView.draw();
    else quizView.draw();
  }

  function open(name, focus = false) {
    if (name !== "step") play.stop();
    tab = name;
    for (const each of tabs) {
      const button = get(`tab-${each}`);
      button.setAttribute("aria-selected", String(each === name));
      button.tabIndex = each === name ? 0 : -1;
      get(each).hidden = each !== name;
      if (focus && each === name) button.focus();
    }
    redraw();
  }

  // The first view says why numbers stay as they were recorded.
  function tellWhyRecorded() {
    open("step");
    go(0);
    get("step").querySelector(".note")?.scrollIntoView({ block: "nearest" });
  }

  function choose(i) {
    selected = i;
    open("tensor");
    graphView.show(i, state());
  }

  // Draw everything again, and keep the focus.
  function redraw() {
    const focused = document.activeElement?.id;
    graphView.draw(state());
    panel();
    for (const part of [play, search]) part.label();
    writeStatus();
    if (focused && document.activeElement?.id !== focused) (get(focused)?.disabled ? get(tab) : (get(focused) ?? get(tab))).focus();
  }

  function start() {
    const root = lesson.nodes[lesson.root];
    document.body.classList.toggle("live", lesson.live);
    document.getElementById("title").textContent = `The backward pass of ${root.name}`;
    get("slider").max = lesson.last;
    graphView.connect({ choose, state });
    for (const part of [play, search, exporting]) part.connect();
    get("first").addEventListener("click", () => go(0));
    get("previous").addEventListener("click", () => go(position - 1));
    get("next").addEventListener("click", () => go(position + 1));
    get("last").addEventListener("click", () => go(lesson.last));
    get("slider").addEventListener("input", () => go(+get("slider").value));
    window.addEventListener("hashchange", (event) => {
      const wanted = fromAddress(event.newURL);
      if (wanted === null) return;
      open("step");
      go(wanted);
    });
    document.addEventListener("click", (event) => {
      const address = event.target.closest?.("a")?.getAttribute("href");
      if (!address || location.protocol !== "about:") return; // in a notebook, an address is that of the page around
      event.preventDefault();
      const found = /^#step=(\d+)$/.exec(address);
      if (found) {
        open("step");
        go(+found[1]);
      } else get(address.slice(1)).focus();
    });
    dark.addEventListener("change", redraw);
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.target.closest("input, select, textarea, [role=tablist]")) return;
      if (event.key === "ArrowRight") go(position + 1);
      else if (event.key === "ArrowLeft") go(position - 1);
      else if (event.key === "Home") go(0);
      else if (event.key === "End") go(lesson.last);
      else return;
      event.preventDefault();
    });
    tabs.forEach((name, k) => {
      get(`tab-${name}`).addEventListener("click", () => open(name));
      get(`tab-${name}`).addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        open(tabs[(k + step + tabs.length) % tabs.length], true);
      });
    });
    const plays = location.hash === "#playing"; // not an id, which would take the focus
    open("step");
    go(fromAddress() ?? 0);
    if (plays) window.addEventListener("load", play.show); // when the reader is there, too
  }

  return { start, choose, redraw, go, tellWhyRecorded, arrived, position: () => position };
})();

main.start();
