"use strict";

/* The state of the page as its address (?q=…), and conditions as people type them. */

const DEFAULTS = { q: "", k: 5, filter: [], teacher: false, release: "served", beside: "" };

/** What an address asks for; what it does not say, or says wrongly, is as by default. */
function stateOf(search) {
  const given = new URLSearchParams(search);
  const k = Number(given.get("k"));
  return {
    q: given.get("q") ?? DEFAULTS.q,
    k: Number.isInteger(k) && k >= 1 && k <= 1000 ? k : DEFAULTS.k,
    filter: given.getAll("where"),
    teacher: given.get("teacher") === "1",
    release: given.get("release") ?? DEFAULTS.release,
    beside: given.get("beside") ?? DEFAULTS.beside,
  };
}

/** The address of a state, as short as it can be. */
function addressOf(state) {
  const said = new URLSearchParams();
  if (state.q) said.set("q", state.q);
  if (state.k !== DEFAULTS.k) said.set("k", state.k);
  for (const condition of state.filter) said.append("where", condition);
  if (state.teacher) said.set("teacher", "1");
  if (state.release !== DEFAULTS.release) said.set("release", state.release);
  if (state.beside) said.set("beside", state.beside);
  const text = said.toString();
  return text ? `?${text}` : "./";
}

/**
 * One condition as [field, value of the service's filter]: `lang = de`, `lang = de, en`,
 * `lang != de`, `year >= 2020`. Throws an Error that says what is wrong.
 */
function conditionOf(text) {
  const parts = /^\s*([\p{L}\p{N}_.-]+?)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*$/su.exec(text);
  if (!parts) throw new Error(`“${text.trim()}” is no condition: write field = value, or year >= 2020`);
  const [, field, sign, said] = parts;
  if (!said) throw new Error(`“${field} ${sign}” needs a value`);
  const bound = { ">": "gt", ">=": "gte", "<": "lt", "<=": "lte" }[sign];
  if (bound) {
    const number = Number(said);
    if (!Number.isFinite(number)) throw new Error(`${field} ${sign} takes a number, not “${said}”`);
    return [field, { [bound]: number }];
  }
  const values = said.match(/"(?:[^"\\]|\\.)*"|[^,]+/g).map((value) => valueOf(value.trim()));
  const asked = values.length === 1 ? values[0] : values;
  return [field, sign === "!=" ? { not: asked } : asked];
}

/** Numbers, true, false and null are themselves; quotes make a text of them. */
function valueOf(text) {
  if (/^(true|false|null|-?\d+(\.\d+)?|".*")$/s.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  return text;
}

/** The service's filter of several conditions; bounds of one field are put together. */
function filterOf(conditions) {
  const filter = {};
  for (const condition of conditions) {
    const [field, asked] = conditionOf(condition);
    const before = filter[field];
    const bounds = (each) => each !== null && typeof each === "object" && !Array.isArray(each);
    if (before === undefined) filter[field] = asked;
    else if (bounds(before) && bounds(asked)) filter[field] = { ...before, ...asked };
    else throw new Error(`there is a condition on ${field} already: list its values, ${field} = a, b`);
  }
  return Object.keys(filter).length ? filter : null;
}
