"use strict";

/* When there is no answer: why, when it is asked for again, and the key that is missing. */

const TITLES = {
  0: "No connection",
  403: "Not allowed here",
  404: "No longer here",
  413: "That is too long",
  422: "That was not understood",
  429: "Busy right now",
  503: "No answer right now",
};

function refuse(error) {
  at("status").textContent = "";
  if (error.status === 401) {
    const given = sessionStorage.getItem(KEY);
    at("key-problem").textContent = given
      ? "The key was refused: it is wrong, or was revoked."
      : "It is kept in this tab until you close it.";
    at("key-form").hidden = false;
    at("key").focus();
    return;
  }
  at("notice-title").textContent = TITLES[error.status] ?? "Something went wrong";
  at("notice").hidden = false;
  const soon = error.seconds !== null && tries < MAX_TRIES;
  at("again").hidden = [403, 404, 413, 422].includes(error.status);
  const detail = `${error.message[0]?.toUpperCase() ?? ""}${error.message.slice(1)}`.replace(/\.?$/, ".");
  if (soon) countDown(detail, error.seconds);
  else at("notice-text").textContent = detail;
}

function countDown(detail, seconds) {
  let left = Math.ceil(seconds);
  const tick = () => {
    if (left <= 0) {
      tries += 1;
      retry();
      return;
    }
    at("notice-text").textContent = `${detail} Trying again in ${left} s.`;
    left -= 1;
    countdown = setTimeout(tick, 1000);
  };
  tick();
}

function stopCountdown() {
  clearTimeout(countdown);
  countdown = null;
}

function retry() {
  stopCountdown();
  at("notice").hidden = true;
  if (!known) learn();
  run();
}
