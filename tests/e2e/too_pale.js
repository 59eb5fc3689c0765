// Returns the visible texts with too little contrast: WCAG 2.2, 1.4.3 wants 4.5 to 1.
() => {
  const WANTED = 4.5;
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  // The canvas reads every notation of colours, and lays half transparent ones over what is below.
  const over = (below, colour) => {
    for (const each of [`rgb(${below.join(" ")})`, colour]) {
      canvas.fillStyle = each;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };

  const luminance = (colour) => {
    const [red, green, blue] = colour
      .map((level) => level / 255)
      .map((level) => (level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };

  const behind = (element) => {
    const below = element.parentElement ? behind(element.parentElement) : [255, 255, 255];
    return over(below, getComputedStyle(element).backgroundColor);
  };

  const ownText = (element) =>
    [...element.childNodes].map((node) => (node.nodeType === Node.TEXT_NODE ? node.data.trim() : "")).join("");

  const pale = [];
  for (const element of document.querySelectorAll("body *:not(option, :disabled)")) {
    const text = ownText(element);
    if (!text || !element.checkVisibility()) continue;
    const ground = behind(element);
    const text_colour = over(ground, getComputedStyle(element).color);
    const [dark, bright] = [luminance(ground), luminance(text_colour)].sort((one, other) => one - other);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < WANTED) pale.push(`${element.className || element.localName}: ${text} (${contrast.toFixed(2)})`);
  }
  return pale;
}
