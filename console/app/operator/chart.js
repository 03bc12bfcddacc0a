// Charts of some tens of values, as SVG in the colours of the page.
import { html, useEffect, useRef, useState } from "../html.js";

const HEIGHT = 200;
const TOP = 12;
const BOTTOM = 24;
const SIDE = 52;

/**
 * One row of values, beside the chart's labels. Bars stand on each other's place, the last in front.
 * @typedef {{name: string, colour: string, values: (number | null)[], bars?: boolean, right?: boolean,
 *   text: (value: number) => string}} Line `colour`: of style.css; `right`: on the axis at the right
 */

/** The width of an element, as it is now. @returns {[any, number]} its ref and the width in pixels */
export function useWidth() {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!box.current) return undefined;
    const observer = new ResizeObserver(([seen]) => setWidth(Math.floor(seen?.contentRect.width ?? 0)));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

/** The end of an axis: a round number, whose half is one, too. @param {number} most */
function endOf(most) {
  if (most <= 2) return 2;
  const power = 10 ** Math.floor(Math.log10(most));
  return power * (/** @type {number} */ ([1, 2, 3, 4, 6, 8, 10].find((step) => most <= step * power)));
}

/** @param {{title: string, labels: string[], lines: Line[], summary: string}} props */
export function Chart({ title, labels, lines, summary }) {
  const [box, width] = useWidth();
  const hasRight = lines.some((line) => line.right);
  const inner = Math.max(width - SIDE - (hasRight ? SIDE : 8), 1);
  const step = inner / labels.length;
  const ends = [false, true].map((right) =>
    endOf(Math.max(0, ...lines.filter((line) => Boolean(line.right) === right).flatMap((line) => line.values.map(Number)))),
  );
  const x = (/** @type {number} */ index) => SIDE + (index + 0.5) * step;
  const height = HEIGHT - TOP - BOTTOM;
  const y = (/** @type {Line} */ line, /** @type {number} */ value) => TOP + height * (1 - value / (ends[Number(Boolean(line.right))] ?? 1));
  const every = Math.ceil(64 / step);
  const axis = (/** @type {Line | undefined} */ line, /** @type {number} */ part) =>
    line ? line.text((ends[Number(Boolean(line.right))] ?? 1) * part) : "";
  return html`<figure class="chart">
    <figcaption>${title}</figcaption>
    <div ref=${box}>
      ${width > 0 &&
      html`<svg width=${width} height=${HEIGHT} role="img" aria-label=${`${title}: ${summary}`}>
        ${[0, 0.5, 1].map((part) => {
          const at = TOP + height * (1 - part);
          return html`<line x1=${SIDE} x2=${SIDE + inner} y1=${at} y2=${at} />
            <text x=${SIDE - 8} y=${at + 4} text-anchor="end">${axis(lines.find((line) => !line.right), part)}</text>
            ${hasRight && html`<text x=${SIDE + inner + 8} y=${at + 4}>${axis(lines.find((line) => line.right), part)}</text>`}`;
        })}
        ${labels.map(
          (label, index) =>
            (labels.length - 1 - index) % every === 0 &&
            html`<text x=${x(index)} y=${HEIGHT - 6} text-anchor="middle">${label}</text>`,
        )}
        ${lines.map((line) =>
          line.bars ? html`<${Bars} line=${line} x=${x} y=${y} step=${step} />` : html`<${Dots} line=${line} x=${x} y=${y} />`,
        )}
        ${labels.map(
          (label, index) => html`<rect class="over" x=${x(index) - step / 2} width=${step} y="0" height=${HEIGHT}>
            <title>
              ${[label, ...lines.map((line) => `${line.name} ${line.values[index] == null ? "–" : line.text(Number(line.values[index]))}`)].join("\n")}
            </title>
          </rect>`,
        )}
      </svg>`}
    </div>
    <ul class="legend">
      ${lines.map((line) => html`<li class=${line.colour}>${line.name}</li>`)}
    </ul>
  </figure>`;
}

/** @typedef {(line: Line, value: number) => number} Scale */

/** @param {{line: Line, x: (index: number) => number, y: Scale, step: number}} props */
const Bars = ({ line, x, y, step }) => {
  const wide = Math.min(step * 0.7, 36);
  return html`<g class=${line.colour}>
    ${line.values.map(
      (value, index) =>
        value &&
        html`<rect x=${x(index) - wide / 2} width=${wide} y=${y(line, value)} height=${y(line, 0) - y(line, value)} rx="2" />`,
    )}
  </g>`;
};

/** @param {{line: Line, x: (index: number) => number, y: Scale}} props */
const Dots = ({ line, x, y }) => {
  // A value that is missing interrupts the line.
  const path = line.values
    .map((value, index) => {
      if (value === null) return "";
      const before = line.values[index - 1];
      return `${before === null || before === undefined ? "M" : "L"}${x(index)} ${y(line, value)}`;
    })
    .join("");
  return html`<g class=${line.colour}>
    <path d=${path} />
    ${line.values.map((value, index) => value !== null && html`<circle cx=${x(index)} cy=${y(line, value)} r="3.5" />`)}
  </g>`;
};
