// The page: uploads, the filter, the list, and what the buttons of a card do.

import { ask, bringInLine, element, number, path, write, writeOrHide } from "./dom.js";
import { makeCard, updateCard } from "./card.js";
import { setUpResize } from "./resize.js";

const STATES = { "": "All", ready: "Ready", working: "Working", waiting: "Waiting", failed: "Failed", removing: "Being removed" };
const UNFINISHED = ["working", "waiting", "removing"];
const PAGE = 60;
const BUSY_MILLISECONDS = 700;
const CALM_MILLISECONDS = 4000;
// After something was done here, its event may take some seconds to show.
const BUSY_FOR_MILLISECONDS = 10_000;
const UPLOADS_AT_ONCE = 4;

const find = (id) => document.getElementById(id);
const list = find("pictures");
let about;
let openResize;
let count = PAGE;
let busyUntil = 0;
let timer;
let reading;
const uploads = { waiting: [], running: 0, done: 0, failed: 0 };

async function start() {
  about = await ask("/api/about");
  document.title = `Gallery of ${about.stack}`;
  write(find("where"), `s3://${about.originals}/${about.prefix} → s3://${about.thumbnails}/`);
  find("folder").value = about.prefix;
  openResize = setUpResize(about, hurry);
  find("states").append(
    ...Object.entries(STATES).map(([value, name]) =>
      element(
        "label",
        { className: "state" },
        element("input", { type: "radio", name: "state", value, checked: !value }),
        element("span", {}, `${name} `, element("b", {})),
      ),
    ),
  );
  find("states").addEventListener("change", filterChanged);
  find("text").addEventListener("input", filterChanged);
  find("more").addEventListener("click", () => {
    count += PAGE;
    refresh();
  });
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", keepFocus);
  setUpUploads();
  refresh();
}

/** Go on at the list if the button that opened a dialog is gone, such as with a picture that the filter now hides. */
function keepFocus() {
  if (document.activeElement === document.body) list.focus();
}

function filterChanged() {
  count = PAGE;
  refresh();
}

/** Look often for a while: something was done that shows soon. */
function hurry() {
  busyUntil = Date.now() + BUSY_FOR_MILLISECONDS;
  refresh();
}

async function refresh() {
  clearTimeout(timer);
  reading?.abort();
  const mine = (reading = new AbortController());
  let wait = CALM_MILLISECONDS;
  try {
    const state = document.querySelector("input[name=state]:checked").value;
    const found = await ask(path("/api/pictures", { text: find("text").value, state, count }), { signal: mine.signal });
    show(found);
    const isBusy = UNFINISHED.some((each) => found.states[each]) || Date.now() < busyUntil;
    if (isBusy) wait = BUSY_MILLISECONDS;
  } catch (error) {
    if (error.name === "AbortError") return;
    write(find("summary"), error.message);
  }
  if (!document.hidden && mine === reading) timer = setTimeout(refresh, wait);
}

function show({ pictures, fitting, states, is_complete }) {
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("li") : null;
  const next = focused && (focused.nextElementSibling ?? focused.previousElementSibling);
  bringInLine(list, pictures, (picture) => picture.key, (picture) => makeCard(picture, ACT), updateCard);
  // The card that had the focus is gone: the keyboard goes on at the next one.
  if (focused && !focused.isConnected) (next?.isConnected ? next.querySelector("a, button") : list)?.focus();
  const all = Object.values(states).reduce((sum, each) => sum + each, 0);
  for (const input of document.querySelectorAll("input[name=state]")) {
    write(input.parentElement.querySelector("b"), number(input.value ? (states[input.value] ?? 0) : all));
  }
  write(find("summary"), summary(all, states, fitting));
  writeOrHide(
    find("note"),
    [
      about.is_express &&
        "Uploads run as Express executions, which Step Functions does not list. Their state is read from the manifests and the log.",
      !is_complete && `The bucket has more than ${number(about.most_originals)} originals. This page shows the first ones, sorted by key.`,
    ]
      .filter(Boolean)
      .join(" "),
  );
  find("more").hidden = fitting <= pictures.length;
}

function summary(all, states, fitting) {
  if (!all) return "No pictures yet.";
  const parts = Object.keys(STATES).filter((state) => states[state]).map((state) => `${number(states[state])} ${STATES[state].toLowerCase()}`);
  const hidden = fitting < all ? ` The filter shows ${number(fitting)}.` : "";
  return `${number(all)} ${all === 1 ? "picture" : "pictures"}: ${parts.join(", ")}.${hidden}`;
}

const ACT = {
  resize: (key) => openResize(key),

  replace(key) {
    const input = find("replacement");
    input.value = "";
    input.onchange = () => {
      const [file] = input.files;
      if (file) upload([[key, file]]);
    };
    input.click();
  },

  remove(key) {
    const dialog = find("removal");
    write(find("removal-key"), key);
    dialog.returnValue = "";
    dialog.onclose = async () => {
      if (dialog.returnValue !== "delete") return;
      try {
        await ask(path("/originals", { key }), { method: "DELETE" });
      } catch (error) {
        complain(`${key} was not deleted. ${error.message}`);
      }
      hurry();
    };
    dialog.showModal();
  },
};

function setUpUploads() {
  const files = find("files");
  files.addEventListener("change", () => {
    uploadAll(files.files);
    files.value = "";
  });
  // Every element that the pointer enters is left again, so entering and leaving are counted.
  let depth = 0;
  const mark = () => document.body.classList.toggle("dropping", depth > 0);
  document.addEventListener("dragenter", (event) => {
    if (event.dataTransfer.types.includes("Files")) depth++;
    mark();
  });
  document.addEventListener("dragleave", (event) => {
    if (event.dataTransfer.types.includes("Files")) depth--;
    mark();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    mark();
    uploadAll(event.dataTransfer.files);
  });
}

function uploadAll(files) {
  const folder = find("folder").value;
  const prefix = !folder || folder.endsWith("/") || folder === about.prefix ? folder : `${folder}/`;
  upload([...files].map((file) => [prefix + file.name, file]));
}

function upload(pairs) {
  if (!uploads.running) Object.assign(uploads, { done: 0, failed: 0 });
  uploads.waiting.push(...pairs);
  while (uploads.running < UPLOADS_AT_ONCE && uploads.waiting.length) uploadNext();
  showProgress();
}

async function uploadNext() {
  const [key, file] = uploads.waiting.shift();
  uploads.running++;
  try {
    await ask(path("/originals", { key }), {
      method: "PUT",
      headers: { "Content-Type": file.type || "application/octet-stream" },
      body: file,
    });
    uploads.done++;
  } catch (error) {
    uploads.failed++;
    complain(`${key} was not uploaded. ${error.message}`);
  }
  uploads.running--;
  if (uploads.waiting.length) uploadNext();
  showProgress();
  hurry();
}

function showProgress() {
  const { waiting, running, done, failed } = uploads;
  const left = waiting.length + running;
  const all = left + done + failed;
  write(find("progress"), left ? `Uploading ${number(done + failed + 1)} of ${number(all)} …` : `Uploaded ${number(done)} of ${number(all)}.`);
}

function complain(message) {
  const close = element("button", { type: "button", className: "quiet", ariaLabel: "Dismiss this message" }, "Dismiss");
  const line = element("p", { className: "problem" }, element("span", {}, message), close);
  close.addEventListener("click", () => line.remove());
  find("problems").append(line);
}

start().catch((error) => write(find("summary"), error.message));
