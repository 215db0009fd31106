// What the page says, in the reader's language. The English text is the key; names in braces stand for what is put in.

const language = (() => {
  const asked = () => (navigator.languages ?? [navigator.language]).map((each) => each.slice(0, 2)).find((each) => each === "en" || tables[each]);
  const kept = () => {
    try {
      return localStorage.getItem("language"); // a file that is opened in a frame may have none
    } catch {
      return null;
    }
  };
  let now = kept() ?? asked() ?? "en";
  return {
    all: { en: "English", de: "Deutsch" },
    now: () => now,
    choose(wanted) {
      now = wanted;
      try {
        localStorage.setItem("language", wanted);
      } catch {
        // it is forgotten when the page closes
      }
    },
  };
})();

function say(text, values = {}) {
  const found = tables[language.now()]?.[text] ?? text;
  return found.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// The title, on the page and on its tab.
function entitle(text) {
  document.title = document.getElementById("title").textContent = text;
}

// What Python said: a text, or a template with its values, which may be such themselves.
function tell(phrase) {
  if (typeof phrase === "string") return phrase;
  const [text, values] = phrase;
  return say(text, Object.fromEntries(Object.entries(values).map(([name, value]) => [name, tell(value)])));
}

// The same, where elements are put in.
function sayWith(text, values) {
  const found = tables[language.now()]?.[text] ?? text;
  const parts = [];
  for (const part of found.split(/\{(\w+)\}/).map((part, k) => (k % 2 ? values[part] : part)).flat().filter((part) => part !== "")) {
    const mark = parts.at(-1)?.tagName === "BUTTON" && typeof part === "string" ? part.match(/^[.,:;)]*/)[0] : "";
    if (mark) parts.push(element("span", { class: "listed" }, parts.pop(), mark)); // else a line may break behind the button
    parts.push(part.slice?.(mark.length) ?? part);
  }
  return parts;
}
