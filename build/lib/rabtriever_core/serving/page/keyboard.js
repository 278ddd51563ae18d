"use strict";

/* Everything without a mouse. */

function move(steps) {
  const own = document.activeElement?.closest(".answer");
  const items = [...(own ?? results).querySelectorAll(".hit")];
  const now = items.indexOf(document.activeElement?.closest(".hit"));
  const next = now + steps;
  if (next < 0) query.focus();
  else items[Math.min(next, items.length - 1)]?.focus();
}

function aside(step) {
  const hit = document.activeElement?.closest(".hit");
  const columns = [...results.querySelectorAll(".answer")];
  const now = columns.indexOf(hit?.closest(".answer"));
  if (now < 0 || !columns[now + step]) return;
  const row = [...columns[now].querySelectorAll(".hit")].indexOf(hit);
  const items = columns[now + step].querySelectorAll(".hit");
  items[Math.min(row, items.length - 1)]?.focus();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = event.target.matches?.("input:not([type=checkbox]), textarea, select");
  if (typing) {
    const down = event.key === "ArrowDown" && event.target === query;
    if (down && query.selectionEnd === query.value.length && results.querySelector(".hit")) {
      event.preventDefault();
      move(1);
    }
    return;
  }
  const hit = document.activeElement?.closest(".hit");
  const actions = {
    "/": () => {
      query.focus();
      query.select();
    },
    j: () => move(1),
    k: () => move(-1),
    u: hit && (() => hit.querySelector("[data-relevant=true]")?.click()),
    d: hit && (() => hit.querySelector("[data-relevant=false]")?.click()),
    // Without a result in focus they scroll, as anywhere.
    ArrowDown: hit && (() => move(1)),
    ArrowUp: hit && (() => move(-1)),
    ArrowLeft: hit && (() => aside(-1)),
    ArrowRight: hit && (() => aside(1)),
    Escape: () => query.focus(),
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}
