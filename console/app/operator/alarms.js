// The alarms of the stack: those that are on, with what to do, and how many are not.
import { count, moment } from "../format.js";
import { html } from "../html.js";
import { Alert } from "../parts.js";
import { Section, useRead } from "./parts.js";

/** @typedef {import("../api.js").Schemas["Alarm"]} Alarm */

/** @param {number} number @param {string} one @param {string} several */
const counted = (number, one, several) => `${count(number)} ${number === 1 ? one : several}`;

export function Alarms() {
  const { data, problem, load } = useRead("/v1/admin/alarms");
  if (problem)
    return html`<${Section} title="Alarms">
      <${Alert}>The alarms could not be read, so some may be on. ${problem}<//>
      <button class="quiet" type="button" onClick=${load}>Try again</button>
    <//>`;
  if (!data) return html`<${Section} title="Alarms"><p class="none" role="status">Loading …</p><//>`;
  /** @type {Alarm[]} */
  const alarms = data.alarms;
  const of = (/** @type {Alarm["state"]} */ state) => alarms.filter((one) => one.state === state);
  const [on, unknown, ok] = [of("alarm"), of("insufficient_data"), of("ok")];
  return html`<${Section} title="Alarms">
    ${alarms.length === 0
      ? html`<p class="none">CloudWatch has no alarm of this stack.</p>`
      : on.length === 0
        ? html`<p class="none">No alarm is on.</p>`
        : html`<ul class="alarms">
            ${on.map((one) => html`<li key=${one.full_name}><${On} alarm=${one} /></li>`)}
          </ul>`}
    <${Others} title=${counted(unknown.length, "alarm has no data", "alarms have no data")} alarms=${unknown} />
    <${Others} title=${counted(ok.length, "alarm is OK", "alarms are OK")} alarms=${ok} />
  <//>`;
}

/** @param {{alarm: Alarm}} props */
const On = ({ alarm }) => html`
  <h3><span class="status failed">Alarm</span> ${alarm.name}</h3>
  <p>${alarm.description}</p>
  <p class="why">
    ${alarm.since && html`Since <time datetime=${alarm.since}>${moment(alarm.since)}</time>. `}
    ${alarm.runbook && html`What to do: <span class="id">${alarm.runbook.page}</span>`}
  </p>
  ${alarm.reason && html`<p class="why">CloudWatch: ${alarm.reason}</p>`}`;

/** Alarms that are not on, behind their number. @param {{title: string, alarms: Alarm[]}} props */
const Others = ({ title, alarms }) =>
  alarms.length > 0 &&
  html`<details>
    <summary>${title}</summary>
    <dl class="others">
      ${alarms.map((one) => html`<div key=${one.full_name}>
        <dt>${one.name}</dt>
        <dd>${one.description}${one.state === "insufficient_data" && one.reason && html`<br /><small>${one.reason}</small>`}</dd>
      </div>`)}
    </dl>
  </details>`;
