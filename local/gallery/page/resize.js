// The dialog that posts another size, and the curl command that it is.

import { ask, element, path, write } from "./dom.js";
import { curlCommand, requestText } from "./curl.js";

// The API answers eight questions a second over all clients.
const POLL_MILLISECONDS = 1000;

/** Set the dialog up; return the function that opens it for a key. changed() is called when thumbnails may be new. */
export function setUpResize(about, changed) {
  const dialog = document.getElementById("resize");
  const form = document.getElementById("resize-form");
  const command = document.getElementById("command");
  const result = document.getElementById("result");
  let isSending = false;
  let key = "";
  let text = "";

  for (const fit of about.fits) form.elements.fit.append(element("option", { value: fit }, fit));
  for (const name of ["width", "height"]) form.elements[name].max = about.largest_side;
  document.getElementById("resize-formats").append(
    ...about.formats.map((format) =>
      element("label", {}, element("input", { type: "checkbox", name: "formats", value: format }), ` ${format}`),
    ),
  );

  function refresh() {
    text = requestText(request());
    write(command, curlCommand(about.api, about.curl_options, text));
  }

  function request() {
    const { width, height, fit, quality } = form.elements;
    const formats = new FormData(form).getAll("formats");
    return {
      source_bucket: about.originals,
      destination_bucket: about.thumbnails,
      object_key: key,
      width: width.valueAsNumber,
      height: height.valueAsNumber,
      ...(fit.value === about.fits[0] ? {} : { fit: fit.value }),
      ...(formats.length === 1 ? { format: formats[0] } : {}),
      ...(formats.length > 1 ? { formats } : {}),
      ...(quality.value ? { quality: quality.valueAsNumber } : {}),
    };
  }

  function say(kind, ...parts) {
    result.dataset.kind = kind;
    result.replaceChildren(...parts);
  }

  async function submit() {
    // Not by disabling the button, which would lose the focus.
    if (isSending) return;
    isSending = true;
    const posted = key;
    say("working", "Sending …");
    try {
      const started = await ask("/api/resize", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: text,
      });
      say("working", `Started: ${started.executionId}`);
      changed();
      await follow(posted, started.executionId);
    } catch (error) {
      if (posted === key) say("failed", error.message);
    } finally {
      isSending = false;
    }
  }

  async function follow(posted, id) {
    for (;;) {
      const execution = await ask(path("/api/executions", { id }));
      if (posted !== key) return;
      if (execution.status !== "RUNNING") {
        changed();
        if (execution.status !== "SUCCEEDED") {
          throw new Error(`${execution.status}: ${execution.error ?? ""} ${execution.cause ?? ""}`);
        }
        say(
          "ready",
          "Made:",
          element("ul", {}, ...execution.output.thumbnails.map((made) => element("li", {}, made.key))),
        );
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
    }
  }

  form.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  document.getElementById("resize-close").addEventListener("click", () => dialog.close());
  document.getElementById("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      say("ready", "Copied.");
    } catch {
      getSelection().selectAllChildren(command);
      say("ready", "The browser does not allow copying. The command is selected: copy it by hand.");
    }
  });

  return (opened) => {
    key = opened;
    write(document.getElementById("resize-key"), key);
    say("");
    refresh();
    dialog.showModal();
  };
}
