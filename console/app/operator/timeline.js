// A job's timeline as a picture: one line for each step, and a bar for each state of its execution.
import { moment } from "../format.js";
import { html } from "../html.js";
import { useWidth } from "./chart.js";

/** @typedef {import("../api.js").Schemas["TimelineStep"]} Step */

const LINE = 42;
const TOP = 22;

/** The first of these words in a step decides its colour. @type {[RegExp, string][]} */
const KINDS = [
  // With these errors an execution goes on: it polls, or repeats a poll.
  [/PollNeeded|States.Timeout/, "dim"],
  [/fail|abort|time|refus|unknown|declin|lost|orphan|expired|cancel/, "bad"],
  [/held|captur|releas|grant|order/, "accent"],
  [/sent|state|exec/, "warm"],
];

/** @param {Step} step */
const kind = ({ what, detail }) => KINDS.find(([words]) => words.test(`${what} ${detail}`))?.[1] ?? "dim";

const ENTERED = "state entered";
const LEFT = "state left";

/**
 * The steps in seconds after the first one. A state that was left is a part of the step that entered it.
 * @param {Step[]} steps
 */
function rowsOf(steps) {
  const first = Date.parse(steps[0]?.at ?? "");
  const seconds = (/** @type {Step | undefined} */ step) => (step ? (Date.parse(step.at) - first) / 1000 : null);
  return steps
    .map((step, index) => {
      const left = steps.slice(index).find((one) => one.what === LEFT && one.detail === step.detail);
      const at = seconds(step) ?? 0;
      return step.what === ENTERED
        ? { ...step, what: step.detail, detail: "", kind: "warm", at, until: seconds(left) ?? seconds(steps.at(-1)) ?? at }
        : { ...step, kind: kind(step), at, until: at };
    })
    .filter((row) => row.what !== LEFT);
}

/** Seconds as they are read best. @param {number} seconds */
export function span(seconds) {
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** @param {{steps: Step[]}} props */
export function Timeline({ steps }) {
  const [box, width] = useWidth();
  const first = steps[0];
  if (!first) return html`<p class="none">Nothing has happened yet.</p>`;
  const rows = rowsOf(steps);
  const whole = Math.max(...rows.map((row) => row.until), 0.1);
  const x = (/** @type {number} */ at) => 8 + (at / whole) * Math.max(width - 16, 0);
  const height = TOP + rows.length * LINE;
  return html`
    <div class="timeline" ref=${box}>
      ${width > 0 &&
      html`<svg width=${width} height=${height} role="img" aria-label=${`From ${moment(first.at)}, for ${span(whole)}`}>
        ${[0, 0.25, 0.5, 0.75, 1].map(
          (part) => html`<g class="tick">
            <line x1=${x(part * whole)} x2=${x(part * whole)} y1=${TOP - 4} y2=${height} />
            <text x=${x(part * whole)} y="12" text-anchor=${part === 0 ? "start" : part === 1 ? "end" : "middle"}>
              ${span(part * whole)}
            </text>
          </g>`,
        )}
        ${rows.map((row, index) => {
          const y = TOP + index * LINE;
          const late = x(row.at) > width / 2;
          // About seven pixels for each letter.
          const room = Math.floor((late ? x(row.at) : width - x(row.at)) / 7) - row.what.length - 10;
          const detail = row.detail.length > room ? `${row.detail.slice(0, Math.max(room, 0))}…` : row.detail;
          return html`<g class=${row.kind}>
            <rect x=${x(row.at)} y=${y + 22} width=${x(row.until) - x(row.at)} height="8" rx="4" />
            <circle cx=${x(row.at)} cy=${y + 26} r="5" />
            <text x=${late ? x(row.at) + 5 : x(row.at) - 5} y=${y + 14} text-anchor=${late ? "end" : "start"}>
              ${row.what}<tspan> ${detail} · ${span(row.at)}</tspan>
            </text>
          </g>`;
        })}
      </svg>`}
      <ol class="unseen">
        ${steps.map((step) => html`<li>${moment(step.at)}: ${step.what} ${step.detail}</li>`)}
      </ol>
    </div>`;
}
