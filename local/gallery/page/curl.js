// The request that the form makes, and the curl command that sends the same bytes.

/** Return the JSON text of a request: it is what is sent, and what the command shows. */
export function requestText(request) {
  // One space where JSON.stringify breaks lines; within strings it writes line breaks as \n.
  return JSON.stringify(request, null, 1).replace(/\n\s*/g, " ");
}

/** Return the command that posts a body, for a POSIX shell. */
export function curlCommand(url, options, body) {
  const lines = [
    ["curl", url],
    ...(options.length ? [options] : []),
    ["--header", "Content-Type: application/json"],
    ["--data", body],
  ];
  return lines.map((words) => words.map(quoted).join(" ")).join(" \\\n  ");
}

/** Quote a word for a POSIX shell: within single quotes only the single quote means something. */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
