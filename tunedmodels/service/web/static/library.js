// Live progress, if the browser runs scripts; every page works without them.
//
// An element with data-running is one job: its data-slot parts are updated by the events. A region
// with data-live is fetched again from the server when a job of the page ends ("ends"), or also
// with every epoch ("epochs").
"use strict";

const MIN_REFRESH_MS = 1000;
const MIN_ANNOUNCE_MS = 5000; // between two messages to a screen reader; the last is always sent
const RETRY_MS = 5000; // after a response that is not a stream; the browser retries lost connections
const announcements = document.querySelector("[data-news]");
let stream = null;
let isFetching = false;
let fetchedAt = 0;
let announcedAt = 0;

function runningIds() {
  return [...document.querySelectorAll("[data-running]")].map((job) => job.dataset.running);
}

function announce(text) {
  if (announcements) announcements.textContent = text;
  announcedAt = Date.now();
}

function updateJob(job) {
  const element = document.querySelector(`[data-running="${CSS.escape(job.id)}"]`);
  for (const part of element?.querySelectorAll("[data-slot]") ?? []) {
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
    const response = await fetch(location.href, { credentials: "same-origin" });
    // The model or the permission was deleted, or the visitor signed out: show that page.
    if (response.redirected || (response.status >= 400 && response.status < 500)) location.reload();
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const region of regions) {
      const newRegion = page.getElementById(region.id);
      if (!newRegion) return location.reload(); // the last model of the list was deleted
      replaceRegion(region, newRegion);
    }
  } catch {
    // The server does not answer; the event stream reconnects when it does.
  } finally {
    isFetching = false;
    fetchedAt = Date.now();
  }
}

function replaceRegion(region, newRegion) {
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const opened = [...region.querySelectorAll("details")].map((details) => details.open);
  region.replaceWith(document.adoptNode(newRegion));
  newRegion.querySelectorAll("details").forEach((details, n) => {
    details.open = opened[n] ?? details.open;
  });
  if (focused) {
    const sameElement = focused.id ? document.getElementById(focused.id)
      : [...newRegion.querySelectorAll("a")].find((link) => link.href === focused.href);
    (sameElement ?? document.getElementById("main")).focus({ preventScroll: true });
  }
}

async function refreshAfterFetch(selector) {
  // A job that ends during another fetch must not be missed.
  while (isFetching) await new Promise((resolve) => setTimeout(resolve, 50));
  await refresh(selector);
}

const epochs = new Map();

async function onProgress(event) {
  const job = JSON.parse(event.data);
  updateJob(job);
  const isNewEpoch = epochs.get(job.id) !== job.epoch;
  epochs.set(job.id, job.epoch);
  if (!job.is_running) {
    announce(`${job.id}: ${job.sentence}`);
    await refreshAfterFetch("[data-live]");
  } else if (isNewEpoch && job.step) {
    const isOnlyJob = runningIds().length === 1;
    if (isOnlyJob && Date.now() - announcedAt > MIN_ANNOUNCE_MS) announce(job.sentence);
    if (Date.now() - fetchedAt > MIN_REFRESH_MS) await refresh("[data-live=epochs]");
  }
}

function openStream() {
  const ids = runningIds();
  if (!ids.length || stream || document.hidden) return;
  const query = new URLSearchParams(ids.map((id) => ["id", id]));
  stream = new EventSource(`/events?${query}`);
  stream.addEventListener("progress", onProgress);
  stream.addEventListener("gone", () => refreshAfterFetch("[data-live]"));
  stream.addEventListener("end", closeStream);
  stream.addEventListener("error", () => {
    if (stream?.readyState !== EventSource.CLOSED) return;
    closeStream();
    setTimeout(openStream, RETRY_MS);
  });
}

function closeStream() {
  stream?.close();
  stream = null;
}

// A browser limits the connections to one server, so a hidden page has none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) closeStream();
  else if (runningIds().length) refreshAfterFetch("[data-live]").then(openStream);
});
addEventListener("pagehide", closeStream);
addEventListener("pageshow", openStream);
