// One engine process of the bench: sharp, driven by JSON lines on stdin (bench/worker.py has the protocol).
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// Node would look for packages beside this file, but they are in the bench's own folder, which is the argument.
const sharp = createRequire(process.argv[2])("sharp");
sharp.concurrency(1);
sharp.cache(false); // otherwise only the first round of a picture would decode it

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
  const worked = process.cpuUsage();
  const start = process.hrtime.bigint();
  const outputs = await make(request.sizes);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const { user, system } = process.cpuUsage(worked);
  (request.keep ?? []).forEach((path, index) => writeFileSync(path, outputs[index]));
  return { seconds, cpu_seconds: (user + system) / 1e6, bytes: outputs.map((output) => output.length) };
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
