// Decodes a ThumbHash: the lowest frequencies of a cosine transform of luminance, two colour differences and alpha, four
// bits each. The format: https://evanw.github.io/thumbhash/. functions/resize/placeholder.py writes it.

const LONGER_SIDE = 32;

/** Return {width, height, pixels} of the picture in a ThumbHash; pixels are RGBA, 0 to 255. */
export function decode(base64) {
  const bits = new Bits(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
  const meanL = bits.take(6) / 63;
  const meanP = bits.take(6) / 31.5 - 1;
  const meanQ = bits.take(6) / 31.5 - 1;
  const scaleL = bits.take(5) / 31;
  const hasAlpha = bits.take(1) === 1;
  const shorter = bits.take(3);
  const scaleP = bits.take(6) / 63;
  const scaleQ = bits.take(6) / 63;
  const isLandscape = bits.take(1) === 1;
  const meanA = hasAlpha ? bits.take(4) / 15 : 1;
  const scaleA = hasAlpha ? bits.take(4) / 15 : 0;
  const longer = hasAlpha ? 5 : 7;
  const [across, down] = isLandscape ? [longer, shorter] : [shorter, longer];
  const ratio = across / down;
  const width = Math.round(LONGER_SIDE * Math.min(1, ratio));
  const height = Math.round(LONGER_SIDE / Math.max(1, ratio));

  const luminance = channel(bits, meanL, scaleL, Math.max(3, across), Math.max(3, down), width, height);
  // The format makes colours livelier than they were, for what the few bits lose.
  const yellowBlue = channel(bits, meanP, 1.25 * scaleP, 3, 3, width, height);
  const redGreen = channel(bits, meanQ, 1.25 * scaleQ, 3, 3, width, height);
  const alpha = hasAlpha ? channel(bits, meanA, scaleA, 5, 5, width, height) : null;

  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let at = 0; at < width * height; at++) {
    const blue = luminance[at] - (2 / 3) * yellowBlue[at];
    const red = (3 * luminance[at] - blue + redGreen[at]) / 2;
    pixels.set([red, red - redGreen[at], blue, alpha ? alpha[at] : 1].map((level) => 255 * level), at * 4);
  }
  return { width, height, pixels };
}

/** Draw a ThumbHash on a canvas, which takes its size. */
export function draw(canvas, base64) {
  const { width, height, pixels } = decode(base64);
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

/** Return one channel, row by row. Its frequencies lie in the triangle below the diagonal. */
function channel(bits, mean, scale, across, down, width, height) {
  const waves = [];
  for (let v = 0; v < down; v++) {
    for (let u = 0; u < across; u++) {
      if ((u || v) && u * down < across * (down - v)) waves.push([u, v, 2 * scale * (bits.take(4) / 7.5 - 1)]);
    }
  }
  const levels = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let level = mean;
      for (const [u, v, amplitude] of waves) {
        level += amplitude * Math.cos((Math.PI / width) * u * (x + 0.5)) * Math.cos((Math.PI / height) * v * (y + 0.5));
      }
      levels[y * width + x] = level;
    }
  }
  return levels;
}

/** Bits, from the lowest of the first byte on. */
class Bits {
  #bytes;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  take(count) {
    let value = 0;
    for (let bit = 0; bit < count; bit++, this.#at++) {
      value |= ((this.#bytes[this.#at >> 3] >> (this.#at & 7)) & 1) << bit;
    }
    return value;
  }
}
