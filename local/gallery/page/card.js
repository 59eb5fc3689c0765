// One picture: its original, its state, its thumbnails, its executions, its manifest and its log.

import { ask, bringInLine, element, number, path, write, writeOrHide } from "./dom.js";
import { draw } from "./thumbhash.js";

const WORDS = {
  ready: "Ready",
  working: "Working",
  waiting: "Waiting",
  failed: "Failed",
  removing: "Being removed",
};
// Pixels that a thumbnail takes in a card at most; smaller ones are shown as they are.
const WIDEST = 270;
const HIGHEST = 104;
const STARTED_BY = { upload: "Upload", removed: "Delete or restore", api: "Request" };

/** Make the card of a picture; act has the functions resize, replace and remove, which get the key. */
export function makeCard(picture, act) {
  const card = document.getElementById("card").content.firstElementChild.cloneNode(true);
  const { key } = picture;
  const slash = key.lastIndexOf("/") + 1;
  const heading = card.querySelector("h3");
  heading.id = `key-${crypto.randomUUID()}`;
  heading.append(element("span", { className: "folder" }, key.slice(0, slash)), key.slice(slash));
  card.querySelector("article").setAttribute("aria-labelledby", heading.id);
  for (const [name, does] of [
    ["resize", () => act.resize(key)],
    ["replace", () => act.replace(key)],
    ["delete", () => act.remove(key)],
  ]) {
    const button = card.querySelector(`button.${name}`);
    button.setAttribute("aria-label", `${button.textContent} ${key}`);
    button.addEventListener("click", does);
  }
  for (const name of ["manifest", "log"]) {
    card.querySelector(`.${name} pre`).setAttribute("aria-label", `${name} of ${key}`);
  }
  card.querySelector(".log").addEventListener("toggle", ({ target }) => target.open && showLog(target, key));
  return card;
}

/** Bring a card up to date. */
export function updateCard(card, picture) {
  const now = JSON.stringify(picture);
  if (card.now === now) return;
  card.now = now;
  const { manifest, original, state } = picture;
  card.querySelector("article").dataset.state = state;
  write(card.querySelector(".badge"), WORDS[state]);
  write(card.querySelector(".about"), about(manifest?.original, original));
  writeOrHide(card.querySelector(".failure"), state === "failed" ? `${picture.error}: ${picture.message}` : "");
  writeOrHide(card.querySelector(".explanation"), state === "failed" ? "" : picture.message);
  showOriginal(card, picture);
  showPlaceholder(card.querySelector(".placeholder"), manifest?.placeholder);
  bringInLine(
    card.querySelector(".thumbnails"),
    manifest?.thumbnails ?? [],
    (thumbnail) => `${thumbnail.key} ${thumbnail.etag}`,
    (thumbnail) => makeThumbnail(thumbnail, manifest.placeholder),
    (child, thumbnail) => write(child.querySelector(".asked"), askedBy(thumbnail)),
  );
  bringInLine(
    card.querySelector(".executions"),
    picture.executions,
    (execution) => execution.name,
    (execution) => element("li", { title: execution.name }),
    (child, execution) => {
      child.dataset.status = execution.status;
      write(child, describeExecution(execution, picture.message));
    },
  );
  const details = card.querySelector(".manifest");
  details.hidden = !manifest;
  write(details.querySelector("pre"), manifest ? JSON.stringify(manifest, null, 2) : "");
}

function about(read, original) {
  // What the manifest says may be of another content, as long as it is not this original's.
  const isSame = read && original && read.etag === original.etag;
  return [
    isSame && read.format,
    isSame && read.width && `${number(read.width)} × ${number(read.height)}`,
    original && `${number(original.bytes)} bytes`,
  ]
    .filter(Boolean)
    .join(" · ");
}

function askedBy(thumbnail) {
  return thumbnail.asked_by.join(" and ");
}

function describeExecution({ started_by, status, seconds, error, message, started }, shown) {
  const took = seconds === null ? "" : ` after ${seconds.toFixed(2)} s`;
  const why = error && message !== shown ? `: ${error}: ${message}` : "";
  const time = new Date(started).toLocaleTimeString("en-GB");
  return `${time} ${STARTED_BY[started_by] ?? started_by} ${status}${took}${why}`;
}

function showOriginal(card, { key, original, manifest }) {
  const shown = card.querySelector(".shown");
  const etag = original?.etag ?? "";
  if (shown.dataset.etag !== etag) {
    shown.dataset.etag = etag;
    shown.replaceChildren(
      etag
        ? element(
            "a",
            { href: path("/originals", { key, etag }), target: "_blank", ariaLabel: `Open the original ${key}` },
            loadPicture(path("/originals", { key, etag }), "", () => element("span", { className: "unseen" },
              "This browser cannot show this original")),
          )
        : element("span", { className: "unseen" }, "Deleted"),
    );
  }
  const image = shown.querySelector("img");
  if (image && !image.complete && manifest?.placeholder && manifest.original.etag === etag) {
    underlay(shown.querySelector(".frame"), manifest.original, manifest.placeholder);
  }
}

function makeThumbnail(thumbnail, placeholder) {
  const { key, width, height, bytes, content_type, etag } = thumbnail;
  const source = path("/thumbnails", { key, etag });
  const size = `${number(width)} × ${number(height)}`;
  const format = content_type.replace("image/", "").toUpperCase();
  const frame = loadPicture(source, `${key}, ${size}`, () =>
    element("span", { className: "unseen" }, "This browser cannot show this format"),
  );
  const scale = Math.min(1, WIDEST / width, HIGHEST / height);
  // Known before it has loaded, so that nothing moves when it has.
  Object.assign(frame.firstElementChild, { width: Math.round(width * scale), height: Math.round(height * scale) });
  underlay(frame, thumbnail, placeholder);
  return element(
    "li",
    {},
    element("a", { href: source, target: "_blank", title: key, className: "tile" }, frame),
    element("span", { className: "size" }, size),
    element("span", {}, `${format} · ${number(bytes)} bytes`),
    element("span", { className: "asked" }),
  );
}

/** Return a frame with a picture that is being loaded. */
function loadPicture(source, alt, otherwise) {
  const frame = element("span", { className: "frame" });
  const image = element("img", { alt, decoding: "async", loading: "lazy" });
  image.addEventListener("load", () => {
    frame.dataset.loaded = "";
    // It would show through what is transparent.
    frame.querySelector("canvas")?.remove();
    frame.style.backgroundColor = "";
  });
  image.addEventListener("error", () => {
    image.remove();
    frame.append(otherwise());
  });
  image.src = source;
  frame.append(image);
  return frame;
}

/** Show the mean colour and the ThumbHash until the picture has arrived. */
function underlay(frame, { width, height }, placeholder) {
  if (!placeholder || frame.querySelector("canvas") || "loaded" in frame.dataset) return;
  if (width) frame.style.setProperty("--ratio", width / height);
  frame.style.backgroundColor = placeholder.colour;
  const canvas = element("canvas", { ariaHidden: "true" });
  draw(canvas, placeholder.thumbhash);
  frame.prepend(canvas);
}

function showPlaceholder(line, placeholder) {
  line.hidden = !placeholder;
  if (!placeholder || line.dataset.thumbhash === placeholder.thumbhash) return;
  line.dataset.thumbhash = placeholder.thumbhash;
  const canvas = line.querySelector("canvas");
  draw(canvas, placeholder.thumbhash);
  canvas.style.backgroundColor = placeholder.colour;
  const swatch = element("span", { className: "swatch", ariaHidden: "true" });
  swatch.style.backgroundColor = placeholder.colour;
  const bytes = atob(placeholder.thumbhash).length;
  line.querySelector("span").replaceChildren(`Placeholder: ThumbHash of ${bytes} bytes, `, swatch, ` ${placeholder.colour}`);
}

async function showLog(details, key) {
  const target = details.querySelector("pre");
  write(target, "Reading …");
  try {
    const lines = await ask(path("/api/log", { key }));
    write(target, lines.join("\n") || "The resize function has logged nothing for this key in the last hour.");
  } catch (error) {
    write(target, error.message);
  }
}
