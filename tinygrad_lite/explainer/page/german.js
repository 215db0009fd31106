// Every message of the page in German, by its English text.

const tables = { de: {} };
