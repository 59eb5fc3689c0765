// Small tools for elements. Text of strangers goes through textContent only; there is no innerHTML in this page.

/** Make an element with properties and children, which are elements or text. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Write a text if it is another one, so that screen readers announce changes only. */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Show a text, or hide the element where there is none. */
export function writeOrHide(target, text) {
  write(target, text);
  target.hidden = !text;
}

/**
 * Bring the children of an element in line with a list, and keep what is there: scroll positions, open details, focus.
 *
 * make(item) returns a new child, and update(child, item) brings it up to date.
 */
export function bringInLine(parent, items, keyOf, make, update) {
  const focused = document.activeElement;
  const known = parent.known ?? new Map();
  const kept = new Map();
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const child = known.get(key) ?? make(item);
    kept.set(key, child);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
    update(child, item);
  }
  for (const [key, child] of known) if (!kept.has(key)) child.remove();
  parent.known = kept;
  // An element that is moved loses the focus.
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}

/** Return a number with separators, as the reader's language writes it. */
export const number = (value) => value.toLocaleString("en");

/** Return a path of this gallery with a query. */
export const path = (place, query) => `${place}?${new URLSearchParams(query)}`;

/** Ask the gallery; return the JSON of its answer, or throw what it says went wrong. */
export async function ask(place, options) {
  let answer;
  try {
    answer = await fetch(place, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The gallery does not answer. Next: make status");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message || said.error || `The gallery answered with the status ${answer.status}.`);
  return said;
}
