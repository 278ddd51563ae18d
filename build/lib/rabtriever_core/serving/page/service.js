"use strict";

/* Asking the service; the key lives in this tab's session and nowhere else. */

const KEY = "rabtriever-key";

/** What the service said instead of an answer. */
class Refused extends Error {
  constructor(status, detail, seconds) {
    super(detail);
    this.status = status;
    this.seconds = seconds;
  }
}

/** Ask; `body` makes it a POST. Throws Refused, or an AbortError. */
async function ask(path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The service cannot be reached.", null);
  }
  if (answer.ok) return answer.json();
  throw new Refused(answer.status, await detailOf(answer), secondsOf(answer));
}

async function detailOf(answer) {
  try {
    const { detail } = await answer.json();
    if (typeof detail === "string") return detail;
    return detail.map((each) => each.msg).join("; ");
  } catch {
    return answer.statusText || `status ${answer.status}`;
  }
}

function secondsOf(answer) {
  const seconds = Number(answer.headers.get("Retry-After"));
  return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}
