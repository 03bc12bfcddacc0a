// Jobs: those of all users, by any id, state, model, provider and time.
import { credits, moment } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { Status } from "../parts.js";
import { address, Field, Form, Id, More, Shown, Table, usePages } from "./parts.js";

/** @typedef {import("../api.js").Schemas["JobRow"]} JobRow */

const STATES = ["", "pending", "processing", "completed", "failed", "cancelled"];
const PROVIDERS = ["", "fal", "runway", "runware"];
const NAMES = ["q", "status", "provider", "model", "user_id", "from", "to"];

/** @typedef {Record<string, string>} Filters */

/** @param {string} query @returns {Filters} */
const filtersOf = (query) => {
  const given = new URLSearchParams(query);
  return Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? ""]));
};

/** @param {Filters} filters */
const stated = (filters) =>
  new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== "")).toString();

/** The API's query: days are those of the reader's time zone. @param {Filters} filters */
function asked({ from = "", to = "", ...others }) {
  const until = to && new Date(`${to}T00:00`);
  if (until) until.setDate(until.getDate() + 1);
  return stated({
    ...others,
    from: from && new Date(`${from}T00:00`).toISOString(),
    to: until && until.toISOString(),
    limit: "50",
  });
}

/** @param {{query: string}} props */
export function Jobs({ query }) {
  const filters = filtersOf(query);
  const [draft, setDraft] = useState(filters);
  const [shown, setShown] = useState(query);
  if (shown !== query) {
    setShown(query);
    setDraft(filters);
  }
  const jobs = usePages(`/v1/admin/jobs?${asked(filters)}`, "jobs");
  const only = filters.q && jobs.data?.length === 1 && !jobs.more ? jobs.data[0].job_id : "";
  useEffect(() => {
    // The only job with this id is what was sought.
    if (only && only !== filters.user_id) location.replace(address("jobs", only));
  }, [only]);
  // A page can be empty although others follow.
  const empty = jobs.data?.length === 0;
  useEffect(() => void (empty && jobs.more?.()), [empty, jobs.more === null, jobs.pages]);
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => setDraft({ ...draft, [name]: value });
  const submit = () => {
    location.hash = `${address("jobs")}?${stated(draft)}`;
  };
  return html`
    <h1>Jobs${filters.q && html` with <span class="id">${filters.q}</span>`}</h1>
    <${Form} submit=${submit} label="Filters">
      <${Field} id="status" label="State" options=${STATES} value=${draft.status} set=${set("status")} />
      <${Field} id="provider" label="Provider" options=${PROVIDERS} value=${draft.provider} set=${set("provider")} />
      <${Field} id="model" label="Model" value=${draft.model} set=${set("model")} />
      <${Field} id="user" label="User" value=${draft.user_id} set=${set("user_id")} />
      <${Field} id="from" label="From" type="date" value=${draft.from} set=${set("from")} />
      <${Field} id="to" label="To" type="date" value=${draft.to} set=${set("to")} />
      <div class="buttons">
        <button type="submit">Find</button>
        ${stated(filters) && html`<a class="button quiet" href=${address("jobs")}>All</a>`}
      </div>
    <//>
    <${Shown} read=${jobs}>
      ${(/** @type {JobRow[]} */ rows) => html`
        <${JobTable}
          rows=${rows}
          empty=${jobs.more ? "Searching …" : stated(filters) ? "No such job." : "There is no job yet."}
        />
        ${rows.length === 0 &&
        !jobs.more &&
        filters.q &&
        html`<p><a href=${address("users", filters.q)}>Open it as a user</a></p>`}
        <${More} pages=${jobs} />`}
    <//>`;
}

/** @param {{rows: JobRow[], empty: string}} props */
export const JobTable = ({ rows, empty }) => html`<${Table}
  label="Jobs"
  heads=${["Ordered", "State", "Model", "Providers", "User", "#Credits"]}
  empty=${empty}
  rows=${rows.map((job) => [
    html`<a href=${address("jobs", job.job_id)}>${moment(job.created_at)}</a>`,
    html`<${Status} status=${job.status} /> ${job.failure_code && html`<small>${job.failure_code}</small>`}`,
    job.model,
    job.providers.join(", "),
    html`<${Id} id=${job.user_id} page="users" />`,
    job.ended_at ? `${job.credits_captured} of ${credits(job.credits)}` : `${credits(job.credits)} on hold`,
  ])}
/>`;
