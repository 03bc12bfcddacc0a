// Providers: keys, circuits, and what each has answered lately.
import { count, moment } from "../format.js";
import { html } from "../html.js";
import { address, Facts, Shown, Table, useRead } from "./parts.js";

/** @typedef {import("../api.js").Schemas["ProviderList"]} ProviderList */
/** @typedef {import("../api.js").Schemas["ProviderState"]} ProviderState */

/** @type {Record<string, [string, string]>} the words, and the kind of the mark */
const CIRCUITS = {
  closed: ["works", "completed"],
  open: ["skipped: it keeps failing", "failed"],
  half_open: ["is tried again", "pending"],
};

/** @param {ProviderState} one */
export const circuit = (one) => CIRCUITS[one.circuit] ?? [one.circuit, ""];

export function Providers() {
  const read = useRead("/v1/admin/providers");
  return html`
    <h1>Providers</h1>
    <${Shown} read=${read} kind="cards">
      ${(/** @type {ProviderList} */ { providers, jobs_seen }) => html`
        <p class="none">Answers are those on the newest ${count(jobs_seen)} jobs of the last seven days.</p>
        <div class="halves">${providers.map((one) => {
          const [words, mark] = circuit(one);
          return html`<section class="panel" aria-label=${one.provider}>
            <div class="title"><h2>${one.provider}</h2><span class=${`status ${mark}`}>${words}</span></div>
            <${Facts}
              facts=${[
                ["Key", one.key_present === null ? "not known yet" : one.key_present ? "present" : "missing"],
                ["Since", moment(one.circuit_opened_at)],
                ["Answers", count(one.answers)],
                ["Errors", one.answers ? `${count(one.errors)} (${Math.round((100 * one.errors) / one.answers)} %)` : "none"],
                ["Models", one.models.join(", ")],
              ]}
            />
            <${Answers} label=${`Errors of ${one.provider}`} rows=${one.last_errors} empty="No error on these jobs." />
            <details>
              <summary>Newest answers</summary>
              <${Answers} label=${`Answers of ${one.provider}`} rows=${one.last_answers} empty="No answer yet." />
            </details>
          </section>`;
        })}</div>`}
    <//>`;
}

/** @param {{label: string, rows: ProviderState["last_answers"], empty: string}} props */
const Answers = ({ label, rows, empty }) => html`<${Table}
  label=${label}
  heads=${["When", "Result", "Stage"]}
  empty=${empty}
  rows=${rows.map((one) => [
    html`<a href=${address("jobs", one.job_id)}>${moment(one.at)}</a>`,
    one.result,
    one.stage,
  ])}
/>`;
