// Formulas as MathML, made from the templates that Python wrote: a template has numbers in braces in place of names.

const formulas = (() => {
  const LEAST = 0.8; // of the usual size, for wide ones
  const LINE = 70; // letters of a formula that fit on paper
  const marks = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  const escaped = (text) => text.replace(/[&<>"]/g, (letter) => marks[letter]);
  const nameOf = (name) => `<mi>${escaped(name)}</mi>`;
  const sign = (text) => `<mo>${text}</mo>`;

  // The element of some markup, read aloud and copied as its text.
  function shown(markup, text, display = false) {
    const holder = document.createElement("template");
    holder.innerHTML = `<math${display ? ' display="block"' : ""} alttext="${escaped(text)}"><mrow>${markup}</mrow></math>`;
    return holder.content.firstChild;
  }

  // The markup of a template whose names are those of an operation's inputs and of its result.
  function filled(template, i) {
    const named = [...lesson.nodes[i].inputs.filter((x) => typeof x === "number"), i];
    return lesson.data.templates[template].replace(/\{(\d+)\}/g, (_, k) => nameOf(lesson.nodes[named[k]].name));
  }

  const derivative = (above, below) => `<mfrac><mrow>${sign("∂")}${nameOf(above)}</mrow><mrow>${sign("∂")}${nameOf(below)}</mrow></mfrac>`;
  const nameAt = (i) => lesson.nodes[i].name;

  // A formula that is too wide is made a little smaller; one that would become too small to read is written as text,
  // which goes on in the next line. What else is too wide scrolls, and is reached with the keyboard.
  function fit(panel) {
    const isWide = (each) => each.scrollWidth > each.clientWidth;
    const wide = [...panel.querySelectorAll(".formula, .term p")].filter(isWide);
    const shares = wide.map((each) => (0.98 * each.clientWidth) / each.scrollWidth);
    wide.forEach((each, k) => shares[k] >= LEAST && (each.style.fontSize = `${shares[k]}em`));
    for (const each of wide.filter(isWide)) {
      each.style.fontSize = "";
      write(each);
    }
    for (const each of panel.querySelectorAll(".corner, .scrolling")) if (isWide(each)) each.tabIndex = 0;
    // Where an equation of pictures does not fit in a line, each has a line of its own behind its sign.
    const wraps = ({ firstElementChild: first, lastElementChild: last }) => last.offsetTop >= first.offsetTop + first.offsetHeight;
    const broken = [...panel.querySelectorAll(".maps:has(.after-sign)")].filter(wraps);
    broken.forEach((row) => row.classList.add("stacked"));
  }

  const write = (box) => box.querySelectorAll("math").forEach((math) => math.replaceWith(element("span", { class: "written" }, math.getAttribute("alttext"))));

  // The same on paper, whose width is not known before it is printed.
  function fitOnPaper(handout) {
    const letters = (box) => [...box.querySelectorAll("math")].reduce((sum, math) => sum + math.getAttribute("alttext").length, 0);
    for (const each of handout.querySelectorAll(".formula, .term p")) if (letters(each) > LINE) write(each);
  }

  // A font without a table for formulas, as on many a phone, leaves an index on the line, and has an exponent far above
  // it: then a style lowers them.
  function lookForScripts() {
    const probe = shown("<msub><mi>x</mi><mn>1</mn></msub><msup><mi>x</mi><mn>2</mn></msup>", "");
    document.body.append(probe);
    const [base, index, , exponent] = [...probe.querySelectorAll("mi, mn")].map((each) => each.getBoundingClientRect());
    document.documentElement.classList.toggle("flat-subscripts", index.bottom <= base.bottom + 1);
    document.documentElement.classList.toggle("high-exponents", exponent.bottom < base.top + 0.3 * base.height);
    probe.remove();
  }
  lookForScripts();

  return {
    fit,
    fitOnPaper,
    // y = the formula that made it
    ofNode: (i) => shown(`${nameOf(nameAt(i))}${sign("=")}${filled(lesson.nodes[i].math, i)}`, `${nameAt(i)} = ${lesson.nodes[i].formula}`),
    definition: (i) => shown(`${nameOf(lesson.nodes[i].op)}${sign(":")}${filled(lesson.nodes[i].definitionMath, i)}`, `${lesson.nodes[i].op}: ${lesson.nodes[i].definition}`),
    // g = ∂loss/∂y, with its number if it is one
    upstream(i) {
      const { data } = lesson.gradient(i);
      const number = data.length === 1 ? told(data[0], 6) : null;
      const text = `${lesson.letter} = ∂${nameAt(lesson.root)}/∂${nameAt(i)}${number === null ? "" : ` = ${number}`}`;
      const value = number === null ? "" : `${sign("=")}<mn>${number}</mn>`;
      return shown(`${nameOf(lesson.letter)}${sign("=")}${derivative(nameAt(lesson.root), nameAt(i))}${value}`, text);
    },
    // contribution = the rule, summed over what was broadcast
    rule(step, each) {
      const axes = `${say(each.summed.length === 1 ? "axis" : "axes")} ${each.summed.join(", ")}`;
      const summed = each.summed.length ? `, ${say("summed over {axes}", { axes })}` : "";
      const text = `${say("contribution")} = ${tell(each.rule)}${summed}`;
      if (each.ruleMath === undefined) return element("span", {}, text);
      const sum = summed ? `<munder>${sign("∑")}<mtext>${axes}</mtext></munder>` : "";
      return shown(`<mtext>${say("contribution")}</mtext>${sign("=")}${sum}${filled(each.ruleMath, step.node)}`, text);
    },
    // what the letters in the rule stand for
    where: (step, each) => (each.where ?? []).map(([letter, template, text]) => shown(`${nameOf(letter)}${sign("=")}${filled(template, step.node)}`, `${letter} = ${text}`)),
    // the rule alone
    term: (step, each) => (each.where ? `${each.rule}, ${say("where")} ${each.where.map(([letter, , text]) => `${letter} = ${text}`).join(", ")}` : each.ruleMath === undefined ? tell(each.rule) : shown(filled(each.ruleMath, step.node), each.rule)),
    // ∂y/∂x = the local derivative
    local: (step, each) => shown(`${derivative(nameAt(step.node), nameAt(each.node))}${sign("=")}${filled(each.localMath, step.node)}`, `∂${nameAt(step.node)}/∂${nameAt(each.node)} = ${each.local}`),
    gradient: (i) => shown(derivative(nameAt(lesson.root), nameAt(i)), `∂${nameAt(lesson.root)}/∂${nameAt(i)}`),
    plain: (i) => shown(nameOf(nameAt(i)), nameAt(i)),
  };
})();
