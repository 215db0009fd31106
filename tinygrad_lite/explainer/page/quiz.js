// Questions made of the graph: predict, then see. The score is kept for as long as the page is open.

const quizView = (() => {
  const panel = document.getElementById("quiz");
  const MOST = 12;
  const score = { right: 0, asked: 0 };
  let at = 0;

  const nameOf = (i) => lesson.nodes[i].name;
  const isNumber = (i) => lesson.nodes[i].value.shape.length === 0;

  // Every question that the graph has, in the order of the backward pass.
  function* possible() {
    for (const [turn, step] of lesson.steps.entries()) {
      const node = lesson.nodes[step.node];
      for (const each of step.to) {
        const target = lesson.nodes[each.node];
        if (each.local !== undefined && isNumber(step.node) && isNumber(each.node)) {
          yield {
            kind: "contribution",
            text: () => `${node.name} = ${node.formula}. The gradient that arrives is ${lesson.letter} = ${told(lesson.gradient(step.node).data[0])}. What does it hand to ${target.name}, ${values(node)}?`,
            answer: () => lesson.contribution(step, each).value.data[0],
            because: () => `upstream × local, where ∂${node.name}/∂${target.name} = ${each.local}`,
            turn,
          };
        } else if (each.local !== undefined) {
          const { value, full } = lesson.contribution(step, each);
          const slope = lesson.slope(step, each);
          if (full && slope && !each.summed.length && value.data.length && np.sizeOf(full.shape) === value.data.length) {
            const place = largestPlace(value);
            const [g, local] = [lesson.gradient(step.node), slope].map((x) => np.broadcast_to(x, full.shape).data[place]);
            yield {
              kind: "entry",
              text: () => `${node.name} = ${node.formula}, and ∂${node.name}/∂${target.name} = ${each.local}. At ${indexed(target.name, value, place)} the gradient that arrives is ${told(g)} and the local derivative ${told(local)}. What is the contribution?`,
              answer: () => value.data[place],
              because: () => "upstream × local",
              turn,
            };
          }
        }
        if (each.summed.length) {
          yield {
            kind: "axes",
            text: () => `${target.name} has shape (${target.value.shape.join(", ")}), and the gradient that ${node.op} makes for it has shape (${each.full.join(", ")}). Over how many axes is it summed?`,
            answer: () => each.summed.length,
            because: () => `${target.name} was broadcast along axis ${each.summed.join(", ")}; what was copied forward is summed backward`,
            turn,
          };
        }
      }
      if (lesson.received[step.node].length > 1 || turn === lesson.steps.length - 1) yield* sums(step.node, turn);
      if (turn + 1 < lesson.steps.length && lesson.steps.length > 2) {
        const next = lesson.steps[turn + 1].node;
        const others = lesson.steps.map((each) => each.node).filter((i) => i !== next && i !== step.node);
        const choices = [next, others[(turn * 7) % others.length], others[(turn * 7 + 3) % others.length]].map(nameOf);
        yield {
          kind: "order",
          text: () => `The backward pass has just handed on the gradient of ${node.name}. Whose turn is next?`,
          choices: [...new Set(choices)].sort(),
          answer: () => nameOf(next),
          because: () => "operations have their turn in the reverse of the order in which they were computed, so that each gradient is complete before it is handed on",
          turn,
        };
      }
    }
    for (const i of lesson.leaves) if (lesson.nodes[i].needsGradient) yield* sums(i, lesson.steps.length - 1);
  }

  function* sums(i, turn) {
    const terms = lesson.received[i].length;
    if (terms > 1) {
      yield {
        kind: "terms",
        text: () => `How many contributions add up in ${stepView.gradientOf(i)}?`,
        answer: () => terms,
        because: () => `${nameOf(i)} is used ${terms} times, and each use hands back a term`,
        turn,
      };
      if (isNumber(i) && lesson.live) {
        yield {
          kind: "total",
          text: () => `The contributions to ${nameOf(i)} are ${lesson.received[i].slice(0, 6).map(([k, each]) => told(lesson.contribution(lesson.steps[k], each).value.data[0])).join(", ")}. What is ${stepView.gradientOf(i)}?`,
          answer: () => lesson.gradient(i).data[0],
          because: () => "gradients of several uses add",
          turn,
        };
      }
    }
  }

  const values = (node) =>
    `where ${[...new Set(node.inputs.filter((x) => typeof x === "number"))].map((x) => `${nameOf(x)} = ${told(lesson.value(x).data[0])}`).join(" and ")}`;

  // A dozen of them at most: each kind has its turn, the earliest first.
  const questions = (() => {
    const byKind = new Map();
    const seen = new Set();
    let looked = 0;
    for (const question of possible()) {
      if (seen.has(question.text())) continue;
      seen.add(question.text());
      if (!byKind.has(question.kind)) byKind.set(question.kind, []);
      byKind.get(question.kind).push(question);
      if (++looked > 400) break;
    }
    const chosen = [];
    for (let round = 0; chosen.length < MOST && [...byKind.values()].some((kind) => kind.length > round); round++) {
      for (const kind of byKind.values()) if (kind[round] && chosen.length < MOST) chosen.push(kind[round]);
    }
    return chosen.sort((a, b) => a.turn - b.turn);
  })();

  const isRight = (question, given) => {
    const answer = question.answer();
    if (question.choices) return given === answer;
    return Math.abs(parsed(given) - answer) <= 0.01 * Math.abs(answer) + 1e-9;
  };

  function draw() {
    const tally = element("p", { class: "score", role: "status" }, `${score.right} right at the first try, of ${score.asked} answered`);
    if (!questions.length) {
      panel.replaceChildren(stepView.heading("Quiz"), element("p", {}, "This graph is too plain for a question."));
      return;
    }
    if (at >= questions.length) {
      panel.replaceChildren(
        stepView.heading("Quiz"),
        element("p", {}, `That was the last question: ${score.right} of ${questions.length} right at the first try.`),
        tally,
        element("button", { type: "button", onclick: () => ((at = 0), (score.right = score.asked = 0), main.redraw()) }, "Once more"),
      );
      return;
    }
    const question = questions[at];
    const outcome = element("p", { class: "outcome-text", role: "status" });
    const field = question.choices
      ? element("select", { id: "answer" }, element("option", { value: "" }, "choose"), question.choices.map((each) => element("option", { value: each }, each)))
      : element("input", { id: "answer", type: "text", inputmode: "decimal", autocomplete: "off" });
    let [done, tries] = [false, 0];
    function finish(right, text) {
      if (!done) {
        score.asked += 1;
        score.right += +right;
      }
      done = true;
      outcome.textContent = text;
      tally.textContent = `${score.right} right at the first try, of ${score.asked} answered`;
      buttons.forEach((button) => (button.disabled = true));
      field.disabled = true;
      next.hidden = false;
      next.focus();
    }
    const answerText = () => (question.choices ? question.answer() : told(question.answer(), 6));
    const check = (event) => {
      event.preventDefault();
      if (done || field.value === "") return;
      if (!question.choices && parsed(field.value) === null) {
        outcome.textContent = "That is not a number, such as 0.5 or −1e−3.";
        return;
      }
      tries += 1;
      if (isRight(question, field.value)) finish(tries === 1, `Right: ${answerText()}. Why: ${question.because()}.`);
      else outcome.textContent = "Not yet. Try again, or have it shown.";
    };
    const buttons = [
      element("button", { type: "submit" }, "Check"),
      element("button", { type: "button", onclick: () => finish(false, `It is ${answerText()}. Why: ${question.because()}.`) }, "Show the answer"),
    ];
    const next = element("button", { type: "button", hidden: true, onclick: () => ((at += 1), main.redraw(), panel.querySelector("#answer, button")?.focus()) }, "Next question");
    panel.replaceChildren(
      stepView.heading(`Question ${at + 1} of ${questions.length}`),
      element("form", { onsubmit: check }, element("label", { for: "answer", class: "question" }, question.text()), element("p", {}, field, " ", buttons)),
      outcome,
      element("p", {}, next, " ", element("a", { href: `#step=${lesson.operations.length + question.turn + 1}` }, "look at the step")),
      tally,
    );
  }

  return { draw, question: () => questions[at], turn: () => questions[at]?.turn ?? lesson.steps.length };
})();
