// Live progress, where the browser runs scripts; every page works without.
//
// An element with data-running is one job: its data-slot parts follow the events. A region with
// data-live is fetched anew, as the server draws it, when a job of the page ends ("ends"), and also
// with every epoch ("epochs").
"use strict";

const LEAST_PAUSE_MS = 1000;
const LEAST_SILENCE_MS = 5000; // between two words to a screen reader; the last is never held back
const NEXT_TRY_MS = 5000; // after an answer that is no stream; a lost connection is the browser's
const news = document.querySelector("[data-news]");
let stream = null;
let isFetching = false;
let fetchedAt = 0;
let saidAt = 0;

function runningIds() {
  return [...document.querySelectorAll("[data-running]")].map((one) => one.dataset.running);
}

function say(words) {
  if (news) news.textContent = words;
  saidAt = Date.now();
}

function fill(job) {
  const place = document.querySelector(`[data-running="${CSS.escape(job.id)}"]`);
  for (const part of place?.querySelectorAll("[data-slot]") ?? []) {
    const value = job[part.dataset.slot];
    if (part instanceof HTMLProgressElement) part.value = value;
    else if (part.textContent !== String(value)) part.textContent = value;
    if (part.dataset.slot === "label") part.className = `chip ${job.state}`;
  }
}

async function refresh(selector) {
  const regions = document.querySelectorAll(selector);
  if (isFetching || !regions.length) return;
  isFetching = true;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    // The model was deleted or taken away, or the visitor signed out: the page that says so.
    if (answer.redirected || (answer.status >= 400 && answer.status < 500)) location.reload();
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of regions) {
      const other = fresh.getElementById(region.id);
      if (!other) return location.reload(); // the last model of the list is gone
      const focused = region.contains(document.activeElement) ? document.activeElement : null;
      const opened = [...region.querySelectorAll("details")].map((one) => one.open);
      region.replaceWith(document.adoptNode(other));
      other.querySelectorAll("details").forEach((one, n) => { one.open = opened[n] ?? one.open; });
      if (focused) {
        const again = focused.id ? document.getElementById(focused.id)
          : [...other.querySelectorAll("a")].find((one) => one.href === focused.href);
        (again ?? document.getElementById("main")).focus({ preventScroll: true });
      }
    }
  } catch {
    // The server does not answer; the stream of events tells when it does again.
  } finally {
    isFetching = false;
    fetchedAt = Date.now();
  }
}

const epochs = new Map();

async function follow(event) {
  const job = JSON.parse(event.data);
  fill(job);
  const isNewEpoch = epochs.get(job.id) !== job.epoch;
  epochs.set(job.id, job.epoch);
  if (!job.is_running) {
    say(`${job.id}: ${job.sentence}`);
    await refreshSoon("[data-live]");
  } else if (isNewEpoch && job.step) {
    if (runningIds().length === 1 && Date.now() - saidAt > LEAST_SILENCE_MS) say(job.sentence);
    if (Date.now() - fetchedAt > LEAST_PAUSE_MS) await refresh("[data-live=epochs]");
  }
}

async function refreshSoon(selector) {
  // What ends while another fetch is on its way must not be missed.
  while (isFetching) await new Promise((done) => setTimeout(done, 50));
  await refresh(selector);
}

function listen() {
  const ids = runningIds();
  if (!ids.length || stream || document.hidden) return;
  const query = new URLSearchParams(ids.map((id) => ["id", id]));
  stream = new EventSource(`/events?${query}`);
  stream.addEventListener("progress", follow);
  stream.addEventListener("gone", () => refreshSoon("[data-live]"));
  stream.addEventListener("end", hush);
  stream.addEventListener("error", () => {
    if (stream?.readyState !== EventSource.CLOSED) return;
    hush();
    setTimeout(listen, NEXT_TRY_MS);
  });
}

function hush() {
  stream?.close();
  stream = null;
}

// A browser opens few connections to one server: a page that nobody looks at keeps none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) hush();
  else if (runningIds().length) refreshSoon("[data-live]").then(listen);
});
addEventListener("pagehide", hush);
addEventListener("pageshow", listen);
