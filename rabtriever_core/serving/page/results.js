"use strict";

/* Drawing answers. Every text goes in as text (textContent): markup in a document stays words. */

const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });

function element(name, options = {}, ...children) {
  const { text, ...attributes } = options;
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter(Boolean));
  return made;
}

function ordinal(number) {
  const ending = { one: "st", two: "nd", few: "rd", other: "th" }[ORDINALS.select(number)];
  return `${number}${ending}`;
}

/** A probability for people: never rounded to certainty, nor broken over lines. */
function percent(probability) {
  const value = 100 * probability;
  if (value > 0 && value < 1) return "<\u00a01\u00a0%";
  if (value < 100 && value > 99) return ">\u00a099\u00a0%";
  return `${Math.round(value)}\u00a0%`;
}

function signed(number) {
  return number.toFixed(2).replace("-", "−");
}

/**
 * One system's ranking as a list.
 *
 * `view`: shown (hits), ranks (of the student by document id, where the teacher ordered them),
 * there (ranks in the system beside it), judged(id) → true, false or undefined, judge(id, relevant,
 * said) or null where no feedback is taken.
 */
function rankingOf(view) {
  const list = element("ol", { class: "ranking" });
  view.shown.forEach((hit, index) => list.append(hitOf(hit, index + 1, view)));
  return list;
}

function hitOf(hit, rank, view) {
  const title = hit.title || (hit.text ? "" : hit.document_id);
  const name = `document-${view.column}-${rank}`;
  const body = element(
    "div",
    { class: "body" },
    title && element("h3", { text: title }),
    hit.text && hit.text !== title && element("p", { class: "text", text: hit.text }),
    factsOf(hit, view),
    view.judge && judgeOf(hit, view),
  );
  const item = element(
    "li",
    {
      class: hit.fits === false ? "hit unfit" : "hit",
      tabindex: "-1",
      "data-document": hit.document_id,
      "aria-labelledby": name,
    },
    element("span", { class: "rank", "aria-hidden": "true", text: rank }),
    body,
    measuresOf(hit, view),
  );
  body.firstElementChild.id = name;
  return item;
}

function factsOf(hit, view) {
  const facts = element("ul", { class: "facts", "aria-label": "Details" });
  // For experts, as the margins below: shown while the options are open.
  facts.append(element("li", { class: "id expert", text: hit.document_id }));
  for (const [field, value] of Object.entries(hit.metadata ?? {})) {
    const said = Array.isArray(value) ? value.join(", ") : String(value);
    facts.append(
      element("li", {}, element("span", { class: "fact", text: `${field} ` }), document.createTextNode(said)),
    );
  }
  const margins = [["margin", hit.margin], ["close reading’s margin", hit.teacher_margin]];
  for (const [name, margin] of margins) {
    if (margin === null || margin === undefined) continue;
    facts.append(element("li", { class: "expert", text: `${name} ${signed(margin)}` }));
  }
  if (view.there?.size) {
    const there = view.there.get(hit.document_id);
    facts.append(
      element("li", {
        class: there ? "also" : "only",
        text: there ? `${ordinal(there)} in the other list` : "not in the other list",
      }),
    );
  }
  return facts;
}

function measuresOf(hit, view) {
  if (hit.score !== null && hit.score !== undefined) {
    return element(
      "div",
      { class: "measures" },
      element("p", { class: "measure" },
        element("span", { class: "number", text: hit.score.toFixed(2) }),
        element("span", { class: "small", text: "BM25 score" })),
    );
  }
  if (!view.ranks) return element("div", { class: "measures" }, measureOf(hit.probability));
  const before = ordinal(view.ranks.get(hit.document_id));
  const first = element("p", { class: "small first", text: `First look: ${percent(hit.probability)}, ${before} place` });
  const closely = hit.teacher_probability ?? null;
  return element("div", { class: "measures" },
    closely === null
      ? element("p", { class: "small", text: "Not read closely" })
      : measureOf(closely, "Close reading"),
    first);
}

function measureOf(probability, who = null) {
  const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span", {}));
  bar.firstElementChild.style.width = `${100 * probability}%`;
  return element(
    "p",
    { class: who ? "measure teacher" : "measure" },
    who && element("span", { class: "who", text: who }),
    element("span", { class: "number", text: percent(probability) }),
    bar,
  );
}

function judgeOf(hit, view) {
  const said = element("span", { class: "said", role: "status" });
  const buttons = [
    [true, "M7 11v9H4v-9zm3 9h7.2a2 2 0 0 0 2-1.6l1.2-6A2 2 0 0 0 18.4 10H14l.8-4.1a1.7 1.7 0 0 0-3-1.3L9 10v8.5z", "Fits"],
    [false, "M7 13V4H4v9zm3-9h7.2a2 2 0 0 1 2 1.6l1.2 6a2 2 0 0 1-2 2.4H14l.8 4.1a1.7 1.7 0 0 1-3 1.3L9 14V5.5z", "Does not fit"],
  ].map(([relevant, path, label]) => {
    const button = element("button", { type: "button", class: "verdict", "data-relevant": relevant });
    button.append(iconOf(path), document.createTextNode(label));
    button.setAttribute("aria-pressed", String(view.judged(hit.document_id) === relevant));
    button.addEventListener("click", () => view.judge(hit.document_id, relevant));
    return button;
  });
  return element("div", { class: "judge" }, ...buttons, said);
}

function iconOf(path) {
  const space = "http://www.w3.org/2000/svg";
  const icon = document.createElementNS(space, "svg");
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", path);
  icon.append(line);
  return icon;
}

/** Show in every list what holds of a document, and what became of storing it. */
function showVerdict(results, id, relevant, text) {
  for (const item of results.querySelectorAll(".hit")) {
    if (item.dataset.document !== id) continue;
    for (const button of item.querySelectorAll(".verdict")) {
      button.setAttribute("aria-pressed", String(button.dataset.relevant === String(relevant)));
    }
    const said = item.querySelector(".said");
    if (said) said.textContent = text;
  }
}
