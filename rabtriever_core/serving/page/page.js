"use strict";

/* What happens on the page: its state is its address, an answer is drawn for every state. */

const MAX_TRIES = 5;
const SLOW_MILLISECONDS = 150;
const KNOWN_RELEASES = 50;
const TITLE = document.title;

const at = (id) => document.getElementById(id);
const query = at("query");
const results = at("results");

let state = stateOf(location.search);
let known = null; // of /v1/releases
let asking = null; // the AbortController of the question that is open
let asked = null; // state and releases of the answer that is shown
let examples = [];
let tries = 0;
let countdown = null;
const verdicts = new Map(); // query and document → right or wrong, as said in this tab

/* --- state ---------------------------------------------------------------------------------- */

function showState() {
  query.value = state.q;
  fitQuery();
  at("teacher").checked = state.teacher;
  choose(at("k"), String(state.k), String(state.k));
  choose(at("release"), state.release, state.release);
  choose(at("beside"), state.beside, state.beside);
  showChips();
  const changed = ["k", "release", "beside"].filter((name) => state[name] !== DEFAULTS[name]).length;
  at("changed").textContent = changed ? ` (${changed} changed)` : "";
  document.title = state.q ? `${state.q.slice(0, 60)} · ${TITLE}` : TITLE;
  document.body.classList.toggle("asked", Boolean(state.q.trim()));
  showExamples();
}

/** Choose a value, also one that is not offered: an address may name it. */
function choose(select, value, label) {
  if (![...select.options].some((option) => option.value === value)) {
    select.append(new Option(label, value));
  }
  select.value = value;
}

function change(changes, search = true) {
  state = { ...state, ...changes };
  const address = addressOf(state);
  if (address !== (location.search || "./")) history.pushState(null, "", address);
  showState();
  if (search) run();
}

function showChips() {
  at("chips").replaceChildren(
    ...state.filter.map((condition, index) => {
      const remove = element("button", { type: "button", "aria-label": `Remove ${condition}`, text: "×" });
      remove.addEventListener("click", () => {
        change({ filter: state.filter.filter((_, other) => other !== index) });
        at("filter").focus();
      });
      return element("li", {}, document.createTextNode(condition), remove);
    }),
  );
}

/** Queries to click on, where nothing is asked yet. */
function showExamples() {
  at("examples").hidden = Boolean(state.q.trim()) || !examples.length;
  const items = examples.map((text) => {
    const button = element("button", { type: "button", text });
    button.addEventListener("click", () => change({ q: text }));
    return element("li", {}, button);
  });
  at("examples").querySelector("ul").replaceChildren(...items);
}

/** Take what is typed as a condition; false where it is none. */
function takeCondition() {
  const field = at("filter");
  const typed = field.value.trim();
  at("filter-problem").textContent = "";
  field.removeAttribute("aria-invalid");
  if (!typed) return true;
  try {
    filterOf([...state.filter, typed]);
  } catch (error) {
    at("filter-problem").textContent = error.message;
    field.setAttribute("aria-invalid", "true");
    return false;
  }
  field.value = "";
  state = { ...state, filter: [...state.filter, typed] };
  return true;
}

/* --- asking --------------------------------------------------------------------------------- */

async function run() {
  asking?.abort();
  stopCountdown();
  at("notice").hidden = true;
  if (!state.q.trim()) {
    results.replaceChildren();
    at("status").textContent = "";
    at("meaning").hidden = true;
    setBusy(false);
    return;
  }
  const own = new AbortController();
  asking = own;
  const slow = setTimeout(() => setBusy(true), SLOW_MILLISECONDS);
  const began = performance.now();
  try {
    const answers = await answersOf(state, own.signal);
    const milliseconds = performance.now() - began;
    tries = 0;
    asked = { ...state };
    draw(answers, milliseconds);
    if (!known || (state.release === "served" && answers[0].release !== known.served)) await learn();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    results.replaceChildren();
    at("meaning").hidden = true;
    refuse(error);
  } finally {
    clearTimeout(slow);
    if (asking === own) setBusy(false);
  }
}

async function answersOf(wanted, signal) {
  const depth = known?.rerank_depth ?? 20;
  const body = {
    query: wanted.q,
    // As far as the teacher reads, so that the student's place of all it moved is known.
    k: wanted.teacher ? Math.max(wanted.k, depth) : wanted.k,
    rerank: wanted.teacher,
  };
  try {
    body.filter = filterOf(wanted.filter);
  } catch (error) {
    throw new Refused(422, error.message, null);
  }
  if (wanted.release === "served" && !wanted.beside) {
    const answer = await ask("v1/search", body, signal);
    return [{ ...answer, system: "served" }];
  }
  const systems = [wanted.release, ...(wanted.beside ? [wanted.beside] : [])];
  return (await ask("v1/compare", { ...body, systems }, signal)).answers;
}

/** Queries to try; a page without them is as good, and a search says what is wrong. */
async function learnExamples() {
  try {
    examples = (await ask("v1/examples")).queries;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  showExamples();
}

/** Releases to choose from, and whether feedback is taken. */
async function learn() {
  try {
    known = await ask("v1/releases");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401 || !state.q.trim()) refuse(error);
    return;
  }
  at("served").textContent = `release ${known.served}`;
  const others = known.releases.filter((each) => each.state !== "retired").slice(0, KNOWN_RELEASES);
  const fill = (select, first) => {
    const offered = others.map((each) => new Option(labelOf(each), each.id));
    select.replaceChildren(...first.map(([label, value]) => new Option(label, value)), ...offered);
  };
  fill(at("release"), [["current", "served"]]);
  fill(at("beside"), [["nothing", ""], ["keywords (BM25)", "bm25"], ["current version", "served"]]);
  choose(at("release"), state.release, state.release);
  choose(at("beside"), state.beside, state.beside);
  await learnExamples();
}

function labelOf(release) {
  const day = new Date(release.created).toLocaleDateString(undefined, { dateStyle: "medium" });
  const quality = Object.entries(release.quality).map(([split, mrr]) => `${split} ${mrr.toFixed(3)}`);
  const measured = quality.length ? ` · MRR@10 ${quality.slice(0, 2).join(", ")}` : "";
  return `${release.id} · ${release.state} · ${day}${measured}`;
}

function setBusy(busy) {
  if (busy) at("status").textContent = "Searching…";
  results.setAttribute("aria-busy", String(busy));
}

/* --- answers -------------------------------------------------------------------------------- */

function draw(answers, milliseconds) {
  at("key-form").hidden = true;
  at("meaning").hidden = !answers.some((answer) => answer.system !== "bm25" && answer.hits.length);
  const lists = answers.map((answer) => answer.hits.slice(0, asked.k));
  const places = lists.map((hits) => new Map(hits.map((hit, index) => [hit.document_id, index + 1])));
  const columns = answers.map((answer, index) => columnOf(answer, lists[index], {
    column: index,
    several: answers.length > 1,
    there: answers.length > 1 ? places[1 - index] : null,
  }));
  results.className = answers.length > 1 ? "results columns" : "results";
  results.replaceChildren(...columns);
  const count = lists[0].length;
  const documents = count === 1 ? "1 document" : `${count} documents`;
  const time = milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
  const said = answers.length > 1
    ? `${nameOf(answers[0])} and ${nameOf(answers[1])}`
    : `${documents} in ${time}`;
  at("status").replaceChildren(
    // Seen below, and heard here.
    isNothing(answers[0]) ? element("span", { class: "hidden", text: "Nothing here fits. " }) : "",
    said,
  );
}

function columnOf(answer, hits, view) {
  const made = element("section", { class: "answer", "aria-label": nameOf(answer) });
  if (!view.several) {
    made.append(element("h2", { class: "hidden", text: "Documents" }));
  } else {
    made.append(element("header", {},
      element("h2", { text: nameOf(answer) }),
      element("p", { class: "small", text: `${answer.milliseconds.toFixed(1)} ms` })));
  }
  if (!hits.length) {
    made.append(element("p", { class: "nothing", text: emptyText(answer) }));
    return made;
  }
  if (isNothing(answer)) made.append(nothingOf(answer));
  made.append(rankingOf({
    ...view,
    shown: hits,
    ranks: answer.reranked ? studentRanks(answer.hits) : null,
    judged: (id) => verdicts.get(pairOf(id)),
    judge: known && !known.feedback ? null : (id, relevant) => judge(id, relevant, answer.release),
  }));
  return made;
}

function nameOf(answer) {
  if (answer.system === "bm25") return "Keywords (BM25)";
  return answer.system === "served" ? "Current version" : `Version ${answer.release}`;
}

/** The highest probability that is shown, by whichever way of reading. */
function bestOf(answer) {
  return Math.max(...answer.hits.map((hit) => hit.teacher_probability ?? hit.probability));
}

/** Nothing fits; where the documents were read closely, that has to find them unlikely, too. */
function isNothing(answer) {
  if (!answer.hits.length || answer.hits.some((hit) => hit.fits !== false)) return false;
  return !answer.reranked || bestOf(answer) < 0.5;
}

function nothingOf(answer) {
  return element("div", { class: "nothing" },
    element("h2", { text: "Nothing here fits." }),
    element("p", { text: `These come closest. The chance that the best of them is right: ${percent(bestOf(answer))}.` }));
}

function emptyText(answer) {
  const filtered = asked.filter.length > 0;
  if (answer.system === "bm25") return `No document ${filtered ? "that passes your filter " : ""}has any of these words.`;
  return filtered ? "No document passes your filter." : "There are no documents.";
}

/** The student's order of what the teacher put in another one: document id → place. */
function studentRanks(hits) {
  const order = [...hits].sort((a, b) => b.margin - a.margin || (a.document_id < b.document_id ? -1 : 1));
  return new Map(order.map((hit, index) => [hit.document_id, index + 1]));
}

/* --- controls ------------------------------------------------------------------------------- */

function fitQuery() {
  query.style.height = "auto";
  query.style.height = `${query.scrollHeight}px`;
}

function listen() {
  document.addEventListener("keydown", onKey);
  query.addEventListener("input", fitQuery);
  query.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    at("search").requestSubmit();
  });
  at("search").addEventListener("submit", (event) => {
    event.preventDefault();
    tries = 0;
    if (takeCondition()) change({ q: query.value.trim() });
  });
  at("filter").addEventListener("keydown", (event) => {
    if (event.key === "Backspace" && !at("filter").value && state.filter.length) {
      change({ filter: state.filter.slice(0, -1) });
    }
  });
  at("teacher").addEventListener("change", () => change({ teacher: at("teacher").checked }));
  at("k").addEventListener("change", () => change({ k: Number(at("k").value) }));
  at("release").addEventListener("change", () => change({ release: at("release").value }));
  at("beside").addEventListener("change", () => change({ beside: at("beside").value }));
  at("again").addEventListener("click", () => {
    tries = 0;
    retry();
  });
  at("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, at("key").value.trim());
    at("key").value = "";
    at("key-form").hidden = true;
    query.focus();
    retry();
  });
  window.addEventListener("popstate", () => {
    state = stateOf(location.search);
    showState();
    run();
  });
  window.addEventListener("resize", fitQuery);
}

listen();
showState();
learn();
run();
