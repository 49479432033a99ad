// Sorts tables by a click on a column's name, and shows the values under the pointer. The page reads without it.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const key = (row, k) => {
    const text = row.cells[k].textContent.trim();
    const number = Number(text);
    return text !== "" && !Number.isNaN(number) ? number : text === "inf" ? Infinity : text === "-inf" ? -Infinity : text;
  };
  table.querySelectorAll("thead th").forEach((head, k) => {
    if (head.classList.contains("draw")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending" && k > 0 || head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row, k), row]);
      const rank = (value) => typeof value === "number" ? 0 : value === "-" || value === "nan" ? 2 : 1;
      rows.sort(([a], [b]) => {
        if (rank(a) !== rank(b)) return rank(a) - rank(b); // a row without a value comes last in both directions
        const order = typeof a === "number" ? (a < b ? -1 : a > b ? 1 : 0) : a.localeCompare(b, undefined, { numeric: true });
        return down ? -order : order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}

const scale = document.getElementById("scale");
const levels = new Map((scale ? scale.dataset.colours.split(" ") : []).map((colour, k) => [colour, k]));
const classes = new Map([...document.querySelectorAll("#classes [data-colour]")].map((item) => [item.dataset.colour, item.textContent.trim()]));

class Pixels {
  constructor(image) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.context.drawImage(image, 0, 0);
  }
  colour(column, row) {
    return [...this.context.getImageData(column, row, 1, 1).data.slice(0, 3)].map((part) => part.toString(16).padStart(2, "0")).join("");
  }
}

for (const maps of document.querySelectorAll(".maps")) {
  const images = { mask: null, prediction: null, loss: null };
  for (const name in images) images[name] = maps.querySelector(`img[data-map=${name}]`);
  const readout = maps.nextElementSibling, map = images.loss, at = [0, 0];
  const [width, height] = [map.naturalWidth || map.width, map.naturalHeight || map.height];
  const pixels = {};
  const { step, flipped, low, high, vertical, horizontal } = maps.dataset;
  const lossAt = (colour) => {
    const level = levels.get(colour);
    if (level === undefined) return colour === maps.dataset.infinite ? "not a finite number" : "not counted";
    const span = (high - low) / (levels.size - 1);
    return `${(Number(low) + level * span).toPrecision(4)} ± ${(span / 2).toPrecision(2)}`;
  };
  const show = () => {
    const [column, row] = at;
    for (const name in images) pixels[name] ??= new Pixels(images[name]);
    const place = (flipped ? height - 1 - row : row) * step;
    const position = `${vertical} ${place}, ${horizontal} ${column * step}`;
    const name = (which) => classes.get(pixels[which].colour(column, row)) ?? "another class";
    readout.textContent = `${position}: mask ${name("mask")}, prediction ${name("prediction")}, loss ${lossAt(pixels.loss.colour(column, row))}`;
  };
  maps.addEventListener("pointermove", (event) => {
    if (event.target.tagName !== "IMG") return;
    const box = event.target.getBoundingClientRect();
    at[0] = Math.min(width - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * width)));
    at[1] = Math.min(height - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * height)));
    show();
  });
  map.tabIndex = 0;
  map.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    at[0] = Math.min(width - 1, Math.max(0, at[0] + move[0]));
    at[1] = Math.min(height - 1, Math.max(0, at[1] + move[1]));
    show();
  });
}
