// One engine process of the bench: sharp, driven by JSON lines on stdin (bench/worker.py has the protocol).
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// Node looks for packages beside this file; they live in the bench's own folder, given as the argument.
const sharp = createRequire(process.argv[2])("sharp");
sharp.concurrency(1);
sharp.cache(false); // the same picture again and again would be answered from memory

let original;

async function make(sizes) {
  const outputs = [];
  for (const size of sizes) {
    outputs.push(
      await sharp(original, { animated: true, limitInputPixels: false })
        .autoOrient()
        .resize(size, size, { fit: "inside", withoutEnlargement: true })
        .toBuffer(),
    );
  }
  return outputs;
}

async function answer(request) {
  if (request.do === "load") {
    original = readFileSync(request.path);
    return {};
  }
  const start = process.hrtime.bigint();
  const outputs = await make(request.sizes);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  (request.keep ?? []).forEach((path, index) => writeFileSync(path, outputs[index]));
  return { seconds, bytes: outputs.map((output) => output.length) };
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply;
  try {
    reply = await answer(JSON.parse(line));
  } catch (error) {
    reply = { error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
}
