// Numbers of the lesson that change: everything is computed again, and what changed flashes.

const changes = (() => {
  // Numbers in the boxes of the graph, before it is moved.
  document.getElementById("graph").addEventListener(
    "pointerdown",
    (event) => {
      const box = event.target.closest(".number:not(.of-gradient)")?.closest("[data-node]");
      const i = box ? +box.dataset.node : null;
      const write = box && (stepView.editOf(i) ?? stepView.nudgeOf(i));
      if (!write) return;
      event.stopPropagation();
      dragging.follow(event, { from: lesson.value(i).data[0], unit: dragging.unitOf(lesson.value(i)), tap: () => main.choose(i), write: (x) => write(0, x) });
    },
    true,
  );

  document.querySelector("main").addEventListener("dragged", () => tensorView.measure());

  // Draw anew by f; numbers that have changed flash.
  function flashing(f) {
    const look = () => [...document.querySelectorAll("#panel td, #panel .number, #panel .numbers, #panel figcaption small, #loss .number, #graph [data-node]")].map((each) => [each, each.dataset.node === undefined ? each.textContent : each.getAttribute("aria-label")]);
    const before = look().map(([, text]) => text);
    f();
    const after = look();
    if (after.length === before.length) after.forEach(([each, text], k) => text !== before[k] && each.classList.add("flash"));
  }

  // Another number at an entry of a leaf, and everything computed again.
  const change = (i, place, x) => flashing(() => (lesson.changeEntry(i, place, x), main.redraw()));

  // Everything as it was recorded.
  const reset = () => flashing(() => (lesson.reset(), main.redraw()));

  return { flashing, change, reset };
})();

// The loss, always in sight, with how far it is from what was recorded.
const lossView = (() => {
  const box = document.getElementById("loss");

  // The change since it was recorded. Its room is there from the beginning, so that nothing moves below a finger that drags.
  const since = (change) => [
    element("span", { class: `number change-of-loss ${change > 0 ? "up" : change < 0 ? "down" : ""}` }, `${change > 0 ? "▲ +" : change < 0 ? "▼ " : "± "}${told(change, 4)}`),
    element("button", { type: "button", id: "reset-all", onclick: () => changes.reset() }, say("Reset")),
  ];

  function draw() {
    const now = lesson.result();
    const name = lesson.nodes[lesson.root].name;
    box.replaceChildren(
      element("b", {}, lesson.value(lesson.root).data.length > 1 ? say("sum of {name}", { name }) : name),
      " = ",
      element("span", { class: "number value" }, told(now, 6)),
      lesson.live
        ? element("span", { class: "since" }, ...(lesson.changed() ? since(now - lesson.recordedResult) : []))
        : element("button", { type: "button", class: "link", title: stepView.whyRecorded(), onclick: () => main.tellWhyRecorded() }, say("fixed numbers: why?")),
    );
  }

  lesson.listeners.push(draw);
  return { draw };
})();
