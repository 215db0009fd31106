// Questions made of the graph: predict, then see. A wrong answer is told which mistake it looks like, in the words of the
// gradient checker, and never the right one. The score is kept for as long as the page is open.

const quizView = (() => {
  const panel = document.getElementById("quiz");
  const MOST = 12;
  const MOST_OF_A_KIND = 3;
  const MOST_TERMS = 6; // of a sum that is asked for
  const score = { right: 0, asked: 0 };
  const { mistakes: known, seed } = lesson.data;
  let at = 0;

  const nameOf = (i) => lesson.nodes[i].name;
  const isNumber = (i) => lesson.nodes[i].value.shape.length === 0 && !lesson.nodes[i].value.complex;
  const shapeText = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

  // Numbers from 0 to 1 that a seed decides (mulberry32); without a seed, always 0.
  const random = (() => {
    if (seed === null) return () => 0;
    let state = [...seed].reduce((hash, letter) => Math.imul(hash ^ letter.codePointAt(0), 0x01000193), 0x811c9dc5);
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  })();
  const pick = (list) => list[Math.floor(random() * list.length)];

  function shuffle(list) {
    for (let k = list.length - 1; k > 0; k--) {
      const other = Math.floor(random() * (k + 1));
      [list[k], list[other]] = [list[other], list[k]];
    }
  }

  // The entry that is asked for: the largest one, or, with a seed, any that is not zero.
  function placeIn(array) {
    const places = seed === null ? [] : array.data.map((_, k) => k).filter((k) => array.data[k] !== 0);
    return places.length ? pick(places) : largestPlace(array);
  }

  // What is known of a contribution at one entry: upstream, local, and their product; null if it has no local derivative.
  function factorsOf(step, each) {
    if (each.local === undefined || each.summed.length) return null;
    const { value, full } = lesson.contribution(step, each);
    const slope = lesson.slope(step, each);
    if (!full || !slope || !value.data.length || np.sizeOf(full.shape) !== value.data.length) return null;
    const place = placeIn(value);
    const at = () => [lesson.gradient(step.node), lesson.slope(step, each)].map((x) => np.broadcast_to(x, full.shape).data[place]);
    return { place, at, value: () => lesson.contribution(step, each).value.data[place], name: indexed(nameOf(each.node), value, place) };
  }

  // The mistakes in upstream × local, each with the number that it gives.
  function mistakesOf(step, each, { place, at, value }) {
    const [g, local] = at();
    const other = step.to.find((one) => one.node !== each.node);
    const theirs = other && lesson.contribution(step, other).value.data;
    return [
      [-value(), known.SIGN],
      [local, known.UPSTREAM],
      [g, known.LOCAL],
      [g + local, say("upstream and local are added, where the chain rule multiplies them")],
      [g / local, say("upstream is divided by local, where the chain rule multiplies them")],
      [theirs?.length > place ? theirs[place] : NaN, known.SWAPPED],
      [g * lesson.value(step.node).data[place], known.VALUE],
      [2 * value(), known.TWICE],
      [value() / 2, known.HALF],
    ];
  }

  // Every question that the graph has, in the order of the backward pass.
  function* possible() {
    for (const [turn, step] of lesson.steps.entries()) {
      const node = lesson.nodes[step.node];
      for (const each of step.to) {
        const target = lesson.nodes[each.node];
        const factors = factorsOf(step, each);
        const made = { node: node.name, formula: node.formula, target: target.name, local: each.local, letter: lesson.letter };
        const slope = `∂${node.name}/∂${target.name}`;
        if (factors) {
          const scalar = isNumber(step.node) && isNumber(each.node);
          yield {
            kind: scalar ? "contribution" : "entry",
            text: () => {
              const [g, local] = factors.at();
              return scalar
                ? say("{node} = {formula}. The gradient that arrives is {letter} = {g}. What does it hand to {target}, {where}?", { ...made, g: told(g), where: values(node) })
                : say("{node} = {formula}, and {slope} = {local}. At {entry} the gradient that arrives is {g} and the local derivative {number}. What is the contribution?", { ...made, slope, entry: factors.name, g: told(g), number: told(local) });
            },
            answer: factors.value,
            mistakes: () => mistakesOf(step, each, factors),
            hint: () => say("Multiply the upstream gradient by the local derivative."),
            because: () => say("upstream × local, where {slope} = {local}", { ...made, slope }),
            turn,
          };
          if (scalar && !/^−?-?[\d.]+$/.test(each.local)) {
            yield {
              kind: "local",
              text: () => say("{node} = {formula}. What is the local derivative {slope}, {where}?", { ...made, slope, where: values(node) }),
              answer: () => factors.at()[1],
              mistakes: () => [
                [-factors.at()[1], known.SIGN],
                [factors.value(), say("that is the contribution: upstream is not part of the local derivative")],
                [lesson.value(step.node).data[0], known.VALUE],
                [lesson.value(each.node).data[0], known.ARGUMENT],
                [2 * factors.at()[1], known.TWICE],
                [factors.at()[1] / 2, known.HALF],
              ],
              hint: () => say("How much does {node} change, for each small change of {target} alone?", made),
              because: () => `${slope} = ${each.local}`,
              turn,
            };
          }
        }
        if (each.summed.length) {
          yield {
            kind: "axes",
            text: () => say("{target} has shape {own}, and the gradient that {op} makes for it has shape {full}. Over how many axes is it summed?", { ...made, own: shapeText(target.value.shape), op: node.op, full: shapeText(each.full) }),
            answer: () => each.summed.length,
            mistakes: () => [
              [each.full.length, say("that is the number of all axes, and those that were not copied stay")],
              [each.full.length - each.summed.length, say("that is the number of the axes that stay")],
              [0, say("the sum over what was broadcast is missing")],
            ],
            hint: () => say("Compare the shapes from the right: which axes are missing, or 1?"),
            because: () => say("{target} was broadcast along axis {axes}; what was copied forward is summed backward", { ...made, axes: each.summed.join(", ") }),
            turn,
          };
        }
        const { shape } = target.value;
        const choices = [shape, [...shape].reverse(), each.full, node.value.shape].map(shapeText);
        if (shape.length && new Set(choices).size > 1) {
          yield {
            kind: "shape",
            text: () => say("{node} = {formula} has shape {whole}. What shape has {gradient}?", { ...made, whole: shapeText(node.value.shape), gradient: stepView.gradientOf(each.node) }),
            choices: [...new Set(choices)].sort(),
            answer: () => shapeText(shape),
            mistakes: () => [
              [shapeText([...shape].reverse()), known.TRANSPOSED],
              [shapeText(node.value.shape), say("that is the shape of the upstream gradient")],
              [shapeText(each.full), say("the sum over what was broadcast is missing")],
            ],
            hint: () => say("How many numbers are there in {target} to change?", made),
            because: () => say("a gradient has one entry for each entry of its value: the gradient of {target} has the shape of {target}", made),
            turn,
          };
        }
      }
      yield* arrows(step, turn);
      if (lesson.received[step.node].length > 1 || turn === lesson.steps.length - 1) yield* sums(step.node, turn);
      if (turn + 1 < lesson.steps.length && lesson.steps.length > 2) {
        const next = lesson.steps[turn + 1].node;
        const others = lesson.steps.map((each) => each.node).filter((i) => i !== next && i !== step.node);
        const choices = [next, others[(turn * 7) % others.length], others[(turn * 7 + 3) % others.length]].map(nameOf);
        yield {
          kind: "order",
          text: () => say("The backward pass has just handed on the gradient of {node}. Whose turn is next?", { node: node.name }),
          choices: [...new Set(choices)].sort(),
          answer: () => nameOf(next),
          mistakes: () => [],
          hint: () => say("Which of them was computed last?"),
          because: () => say("operations have their turn in the reverse of the order in which they were computed, so that each gradient is complete before it is handed on"),
          turn,
        };
      }
    }
    for (const i of lesson.leaves) if (lesson.nodes[i].needsGradient) yield* sums(i, lesson.steps.length - 1);
  }

  // Which arrow is wrong? What two or three steps hand on, one of them with a common mistake in it.
  function* arrows(step, turn) {
    if (turn + 1 >= lesson.steps.length && step.to.length < 2) return;
    const all = lesson.steps.slice(turn, turn + 3).flatMap((each) => each.to.map((to) => ({ step: each, to, factors: factorsOf(each, to) }))).filter((each) => each.factors);
    const distinct = all.filter((each, k) => all.findIndex((other) => other.step === each.step && other.to.node === each.to.node) === k).slice(0, 4);
    const wrongs = distinct.map((each) => {
      const right = each.factors.value();
      const all = mistakesOf(each.step, each.to, each.factors).filter(([x]) => Number.isFinite(x) && Math.abs(x - right) > 0.02 * Math.abs(right));
      return seed === null ? all[turn % all.length] : pick(all);
    });
    const able = distinct.map((_, k) => k).filter((k) => wrongs[k]);
    if (distinct.length < 2 || !able.length) return;
    const wrong = seed === null ? able[turn % able.length] : pick(able);
    const label = ({ step: each, factors }) => `${nameOf(each.node)} → ${factors.name}`;
    const said = distinct.map((each, k) => {
      const [g, local] = each.factors.at();
      return `${label(each)}: ${say("upstream")} ${told(g)}, ${say("local")} ${told(local)}, ${say("contribution")} ${told(k === wrong ? wrongs[k][0] : each.factors.value())}`;
    });
    const choices = distinct.map(label);
    if (new Set(choices).size < choices.length) return;
    yield {
      kind: "arrow",
      text: () => say("One of these arrows carries a wrong number. Which?"),
      lines: said,
      choices,
      answer: () => choices[wrong],
      mistakes: () => [],
      hint: () => say("Multiply upstream by local at each arrow."),
      because: () => say("it is {right}; what stood there: {why}", { right: told(distinct[wrong].factors.value()), why: say(wrongs[wrong][1]) }),
      turn,
    };
  }

  function* sums(i, turn) {
    const terms = lesson.received[i].length;
    if (terms < 2) return;
    yield {
      kind: "terms",
      text: () => say("How many contributions add up in {gradient}?", { gradient: stepView.gradientOf(i) }),
      answer: () => terms,
      mistakes: () => [
        [1, known.OVERWRITTEN],
        [new Set(lesson.received[i].map(([k]) => k)).size, say("that is the number of operations that use it: one of them uses it more than once")],
      ],
      hint: () => say("Count the arrows that leave it, not the operations."),
      because: () => say("{name} is used {n} times, and each use hands back a term", { name: nameOf(i), n: terms }),
      turn,
    };
    if (!isNumber(i) || !lesson.live || terms > MOST_TERMS) return;
    const parts = () => lesson.received[i].map(([k, each]) => lesson.contribution(lesson.steps[k], each).value.data[0]);
    // Terms that nearly cancel are told with more digits, so that what is left has enough of them.
    const digits = () => {
      const lost = Math.log10(parts().reduce((sum, x) => sum + Math.abs(x), 0) / Math.abs(lesson.gradient(i).data[0]));
      return Number.isFinite(lost) ? Math.min(4 + Math.ceil(lost), 15) : 4;
    };
    yield {
      kind: "total",
      text: () => say("The contributions to {name} are {parts}. What is {gradient}?", { name: nameOf(i), parts: parts().map((x) => told(x, digits())).join(", "), gradient: stepView.gradientOf(i) }),
      answer: () => lesson.gradient(i).data[0],
      mistakes: () => [
        [parts().reduce((a, b) => a * b, 1), say("the contributions are multiplied, where those of several uses add")],
        [lesson.gradient(i).data[0] / terms, say("that is their mean, where gradients add")],
        ...parts().map((x) => [x, known.OVERWRITTEN]),
      ],
      hint: () => say("Each use hands back a term, and the terms add."),
      because: () => say("gradients of several uses add"),
      turn,
    };
  }

  const values = (node) =>
    say("where {values}", { values: [...new Set(node.inputs.filter((x) => typeof x === "number"))].map((x) => `${nameOf(x)} = ${told(lesson.value(x).data[0])}`).join(` ${say("and")} `) });

  // A dozen of them at most: each kind has its turn, the earliest first, or, with a seed, in an order of its own.
  function chosenQuestions() {
    const byKind = new Map();
    const seen = new Set();
    let looked = 0;
    for (const question of possible()) {
      const text = question.text() + (question.lines ?? []).join();
      if (seen.has(text)) continue;
      seen.add(text);
      if (!byKind.has(question.kind)) byKind.set(question.kind, []);
      byKind.get(question.kind).push(question);
      if (++looked > 400) break;
    }
    if (seed !== null) byKind.forEach(shuffle);
    const chosen = [];
    for (let round = 0; chosen.length < MOST && round < MOST_OF_A_KIND; round++) {
      for (const kind of byKind.values()) if (kind[round] && chosen.length < MOST) chosen.push(kind[round]);
    }
    return chosen.sort((a, b) => a.turn - b.turn);
  }

  let made = null; // once somebody looks, since the wrong answers take time
  const questions = () => (made ??= chosenQuestions());

  // Whether two numbers are the same to two digits; infinite and undefined ones are so only to their like.
  function same(x, wanted) {
    if (!Number.isFinite(x) || !Number.isFinite(wanted)) return Object.is(x, wanted);
    return wanted === 0 ? Math.abs(x) < 1e-9 : Math.abs(x - wanted) <= 0.01 * Math.abs(wanted);
  }

  const isRight = (question, text) => (question.choices ? text === question.answer() : same(parsedAny(text), question.answer()));

  // What is said of a wrong answer: the mistake that gives it, or what to think of.
  function diagnosis(question, text) {
    // A mistake that makes no finite number of finite ones explains no answer.
    const explains = (wrong) => Number.isFinite(wrong) || !Number.isFinite(question.answer());
    const hit = question.mistakes().find(([wrong]) => (question.choices ? text === wrong : explains(wrong) && same(parsedAny(text), wrong)));
    return hit ? say("Not yet: {why}.", { why: say(hit[1]) }) : `${say("Not yet.")} ${question.hint()}`;
  }

  const tallied = () => say("{right} right at the first try, of {asked} answered", score);

  function draw() {
    const tally = element("p", { class: "score", role: "status" }, tallied());
    if (!questions().length) {
      panel.replaceChildren(stepView.heading(say("Quiz")), element("p", {}, say("This graph is too simple for a question.")));
      return;
    }
    if (at >= questions().length) {
      panel.replaceChildren(
        stepView.heading(say("Quiz")),
        element("p", {}, say("That was the last question: {right} of {n} right at the first try.", { right: score.right, n: questions().length })),
        tally,
        element("button", { type: "button", onclick: () => ((at = 0), (score.right = score.asked = 0), main.redraw()) }, say("Once more")),
      );
      return;
    }
    const question = questions()[at];
    const outcome = element("p", { class: "outcome-text", role: "status" });
    const field = question.choices
      ? element("select", { id: "answer" }, element("option", { value: "" }, say("choose")), question.choices.map((each) => element("option", { value: each }, each)))
      : element("input", { id: "answer", type: "text", autocomplete: "off", placeholder: say("a number, inf or nan") });
    let [done, tries] = [false, 0];
    function finish(right, text) {
      if (!done) {
        score.asked += 1;
        score.right += +right;
      }
      done = true;
      outcome.textContent = text;
      tally.textContent = tallied();
      buttons.forEach((button) => (button.disabled = true));
      field.disabled = true;
      next.hidden = false;
      next.focus();
    }
    const answerText = () => (question.choices ? question.answer() : told(question.answer(), 6));
    const toldWhy = (text) => say(text, { answer: answerText(), why: question.because() });
    const check = (event) => {
      event.preventDefault();
      if (done || field.value === "") return;
      if (!question.choices && parsedAny(field.value) === null) {
        outcome.textContent = say("That is not a number, such as 0.5 or −1e−3.");
        return;
      }
      tries += 1;
      if (isRight(question, field.value)) finish(tries === 1, toldWhy("Right: {answer}. Why: {why}."));
      else outcome.textContent = diagnosis(question, field.value);
    };
    const buttons = [
      element("button", { type: "submit" }, say("Check")),
      element("button", { type: "button", onclick: () => finish(false, toldWhy("It is {answer}. Why: {why}.")) }, say("Show the answer")),
    ];
    const next = element("button", { type: "button", hidden: true, onclick: () => ((at += 1), main.redraw(), panel.querySelector("#answer, button")?.focus()) }, say("Next question"));
    panel.replaceChildren(
      stepView.heading(say("Question {k} of {n}", { k: at + 1, n: questions().length })),
      element("form", { onsubmit: check }, element("label", { for: "answer", class: "question" }, question.text()), question.lines ? element("ul", {}, question.lines.map((line) => element("li", {}, line))) : "", element("p", {}, field, " ", buttons)),
      outcome,
      element("p", {}, next, " ", element("a", { href: `#step=${lesson.operations.length + question.turn + 1}` }, say("look at the step"))),
      tally,
    );
  }

  return { draw, question: () => questions()[at], turn: () => questions()[at]?.turn ?? lesson.steps.length };
})();
