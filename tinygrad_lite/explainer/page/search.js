// Finds nodes of the graph by name: Enter goes to the next one that has the text in its name or its formula.

const search = (() => {
  const MOST = 12; // suggestions
  const [field, names, count] = ["search", "names", "matches"].map((id) => document.getElementById(id));
  let [matches, at] = [[], -1];
  let found = () => ""; // what is said of them

  // The nodes with a text in their names, the best first: the same name, its beginning, anywhere; then the formulas.
  function matching(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    const rank = ({ name, formula = "" }) => {
      const own = name.toLowerCase();
      if (own === wanted) return 0;
      if (own.startsWith(wanted)) return 1;
      if (own.includes(wanted)) return 2;
      return formula.toLowerCase().includes(wanted) ? 3 : 4;
    };
    const ranks = lesson.nodes.map(rank);
    const all = ranks.flatMap((each, i) => (each < 4 ? [i] : []));
    return all.sort((a, b) => ranks[a] - ranks[b] || a - b);
  }

  function look() {
    [matches, at] = [matching(field.value), -1];
    names.replaceChildren(...matches.slice(0, MOST).map((i) => element("option", { value: lesson.nodes[i].name })));
    found = () => (field.value.trim() ? (matches.length ? counted(matches.length, "match", "matches") : say("no match")) : "");
    label();
  }

  function go() {
    if (!matches.length) return;
    at = (at + 1) % matches.length;
    found = () => say("{k} of {n}", { k: grouped(at + 1), n: grouped(matches.length) });
    label();
    graphView.reveal(matches[at]);
    main.choose(matches[at]);
    field.focus();
  }

  function connect() {
    field.addEventListener("input", look);
    field.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), go()));
  }

  // In the language of the page.
  function label() {
    field.placeholder = say("find by name");
    count.textContent = found();
  }

  return { connect, label, matching };
})();
