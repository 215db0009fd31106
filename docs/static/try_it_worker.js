// The worker of a page's cells: one interpreter, so that a cell knows the names of those before it, and can be stopped.

import { start } from "./try_it_python.js";

const read = async (name) => {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
};
const told = (status) => postMessage({ status });
let python = null;

async function run({ before, code }) {
  if (python === null) {
    const base = new URL("pyodide/", import.meta.url).href;
    const { loadPyodide } = await import(`${base}pyodide.mjs`);
    python = await start({ base, read, told, loadPyodide });
  }
  told("Running …");
  for (const block of before) {
    const { error } = python(block, () => {});
    if (error) return { error };
  }
  return python(code, (text) => postMessage({ text }));
}

addEventListener("message", ({ data }) =>
  run(data).then(
    (result) => postMessage({ done: true, ...result }),
    (error) => postMessage({ failed: String(error?.message ?? error) }),
  ),
);
