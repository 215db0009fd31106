// Numbers that are dragged: to the side with a mouse or a finger, up and down with the keys; Enter lets one be typed.

const dragging = (() => {
  const NEAR = 4; // pixels that a pointer moves in a click

  // How much a pixel changes a number, from the size of the numbers around it.
  function unitOf(array) {
    const size = largestOf(array.data);
    return 10 ** Math.floor(Math.log10(size > 0 ? size : 1)) / 50;
  }

  // A number close by that has few digits.
  const rounded = (x, unit) => Number((Math.round(x / unit) * unit).toPrecision(12));

  // Follow a pointer until it is lifted. The page's main part captures it, since what it began on is drawn anew
  // meanwhile; in the end, `dragged` happens there.
  function follow(event, { from, unit, tap, write }) {
    if (event.button) return;
    const holder = document.querySelector("main");
    const start = event.clientX;
    let [moved, waiting, frame] = [false, null, 0];
    const send = () => {
      const wanted = waiting;
      waiting = null;
      write(wanted);
    };
    const move = (now) => {
      const way = now.clientX - start;
      if (!moved && Math.abs(way) < NEAR) return;
      moved = true;
      now.preventDefault();
      document.body.classList.add("dragging");
      const wanted = rounded(from + way * unit * (now.shiftKey ? 0.1 : 1), unit * (now.shiftKey ? 0.1 : 1));
      if (waiting === null) frame = requestAnimationFrame(() => send());
      waiting = wanted;
    };
    const end = () => {
      document.body.classList.remove("dragging");
      for (const [name, f] of listeners) holder.removeEventListener(name, f);
      cancelAnimationFrame(frame);
      if (waiting !== null) send();
      if (moved) holder.dispatchEvent(new Event("dragged"));
      else tap?.();
    };
    const listeners = [["pointermove", move], ["pointerup", end], ["pointercancel", end]];
    for (const [name, f] of listeners) holder.addEventListener(name, f);
    holder.setPointerCapture(event.pointerId);
  }

  // By how much a key changes a number, in units; null if it does not.
  const steps = { ArrowUp: 5, ArrowRight: 5, "+": 5, ArrowDown: -5, ArrowLeft: -5, "-": -5, PageUp: 50, PageDown: -50 };

  // A number on its own: `write(x)` gets a new one.
  function number({ id, x, unit, label, write, digits = 8 }) {
    const found = element("span", {
      id,
      class: "number drag",
      role: "spinbutton",
      tabindex: 0,
      "aria-label": label,
      "aria-valuenow": /[a-z]/i.test(x) ? null : x, // of 1e25, NaN or Infinity the text below is read
      "aria-valuetext": told(x, digits),
      title: say("Drag to the side, or press the arrow keys; Enter to type"),
      onpointerdown: (event) => follow(event, { from: x, unit, write }),
      onkeydown: (event) => {
        if (event.altKey || event.ctrlKey || event.metaKey) return;
        if (event.key === "Enter") typed();
        else if (event.key in steps) write(rounded(x + steps[event.key] * unit * (event.shiftKey ? 0.1 : 1), unit * (event.shiftKey ? 0.1 : 1)));
        else return;
        event.preventDefault();
      },
      ondblclick: () => typed(),
    }, told(x, digits));
    function typed() {
      const field = element("input", { type: "text", inputmode: "decimal", class: "typed", "aria-label": label, value: String(x) });
      const leave = (wanted) => {
        field.replaceWith(found);
        found.focus();
        if (wanted !== null) write(wanted);
      };
      field.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (event.key === "Escape") leave(null);
        if (event.key !== "Enter") return;
        const wanted = parsed(field.value);
        field.setAttribute("aria-invalid", String(wanted === null));
        if (wanted !== null) leave(wanted);
      });
      found.replaceWith(field);
      field.select();
      field.focus();
    }
    return found;
  }

  const underWay = () => document.body.classList.contains("dragging");

  return { underWay, unitOf, follow, number, steps, rounded };
})();
