// One job: what was ordered, what the providers did, its credits, and what an operator can do.
import { request } from "../api.js";
import { count, credits, failure, moment, settingName, settingValue } from "../format.js";
import { html, useState } from "../html.js";
import { Status } from "../parts.js";
import { address, Facts, Field, Form, Id, Section, Shown, Table, useAction, useRead } from "./parts.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("../api.js").Schemas["InspectedJob"]} InspectedJob */
/** @typedef {import("../api.js").Schemas["StageAnswer"]} Stage */
/** @typedef {import("../api.js").Schemas["ActionDone"]} Done */

/** The actions: the path's end, and the name. @type {[string, string][]} */
const ACTIONS = [
  ["cancel", "Cancel the job"],
  ["settle", "Settle it again"],
  ["refetch", "Fetch its file again"],
];

/** What an action has done. @type {Record<string, string>} */
const RESULTS = {
  cancelled: "It was cancelled.",
  settled: "It was settled.",
  started: "It was started.",
  waiting: "Nothing to do: it waits for its provider.",
  storing: "Nothing to do: its file is being stored.",
  stored: "Nothing to do: its file is stored.",
  ended: "Nothing to do: it had ended before.",
};

/** Millionths of a USD. @param {number | null} micros */
const dollars = (micros) =>
  micros === null
    ? ""
    : (micros / 1e6).toLocaleString(undefined, { style: "currency", currency: "USD", maximumFractionDigits: 4 });

/** @param {{id: string}} props */
export function Job({ id }) {
  const read = useRead(`/v1/admin/jobs/${encodeURIComponent(id)}`);
  return html`
    <p class="back"><a href=${address("jobs")}>All jobs</a></p>
    <${Shown} read=${read}>
      ${(/** @type {InspectedJob} */ job) => html`
        <div class="title">
          <h1>Job <span class="id">${job.job_id}</span></h1>
          <${Status} status=${job.status} />
        </div>
        ${job.failure_code && html`<p class="alert">${job.failure_code}: ${failure(job.failure_code)}</p>`}
        <div class="halves">
          <${Section} title="Order"><${Order} job=${job} /><//>
          <${Section} title="Actions"><${Actions} job=${job} reload=${read.load} /><//>
        </div>
        <${Section} title="Timeline"><${Timeline} steps=${job.timeline} /><//>
        ${job.stages.map((stage) => html`<${Section} title=${`Stage: ${stage.name}`}><${StageFacts} stage=${stage} /><//>`)}
        <${Section} title="Credits">
          <${Table}
            label="Journal entries"
            heads=${["When", "What", "#Credits", "#Available after"]}
            empty="No entry."
            rows=${job.entries.map((entry) => [
              moment(entry.created_at),
              `${entry.kind} ${entry.stage ?? entry.reason ?? ""}`,
              count(entry.credits),
              count(entry.balance_after),
            ])}
          />
        <//>
        ${job.costs.length > 0 &&
        html`<${Section} title="Costs">
          <${Table}
            label="Costs"
            heads=${["Stage", "Provider", "Task", "Use", "#Cost", "Known from"]}
            empty=""
            rows=${job.costs.map((one) => [
              one.stage,
              one.provider,
              html`<${Id} id=${one.request_id} />`,
              one.use,
              one.usd_micros !== null ? dollars(one.usd_micros) : one.micros !== null ? `${one.micros / 1e6} ${one.unit}` : "–",
              one.source ?? "",
            ])}
          />
        <//>`}
        ${job.orphans.length > 0 &&
        html`<${Section} title="Orphans">
          <${Table}
            label="Orphans"
            heads=${["Found", "Provider", "Task", "#Credits"]}
            empty=""
            rows=${job.orphans.map((one) => [
              moment(one.found_at),
              `${one.provider} ${one.endpoint}`,
              html`<${Id} id=${one.request_id} />`,
              count(one.credits),
            ])}
          />
        <//>`}
        <${Section} title="Deliveries of its events">
          <${Table}
            label="Deliveries"
            heads=${["Event", "Type", "State", "#Attempts", "Webhook"]}
            empty="Nothing was delivered."
            rows=${job.deliveries.map((one) => [
              moment(one.created_at),
              one.type,
              html`<${Status} status=${one.status} />`,
              one.attempts.length,
              html`<${Id} id=${one.webhook_id} page="webhooks" />`,
            ])}
          />
        <//>`}
    <//>`;
}

/** @param {{job: InspectedJob}} props */
const Order = ({ job }) => html`
  <p class="prompt whole">${job.order.prompt}</p>
  <${Facts}
    facts=${[
      ["User", html`<${Id} id=${job.user_id} page="users" />`],
      ["Model", job.order.model_name],
      ...Object.entries(job.order.settings)
        .filter(([, value]) => value !== null)
        .map(([name, value]) => [settingName(name), settingValue(name, value)]),
      ["Project", job.project_id && html`<${Id} id=${job.project_id} />`],
      ["Ordered", moment(job.created_at)],
      ["Ended", moment(job.ended_at)],
      ["Deadline", job.ended_at ? "" : moment(job.deadline)],
      ["Price", credits(job.credits)],
      ["On hold", job.charge.held ? credits(job.charge.held) : ""],
      ["Captured", credits(job.charge.captured)],
      ["Released", credits(job.charge.released)],
      ["Goodwill", job.charge.goodwill ? credits(job.charge.goodwill) : ""],
      ["Cost at providers", job.costs.length ? dollars(job.provider_cost_usd_micros) : ""],
      ["Deleted", job.deleted ? "by the user" : ""],
    ]}
  />`;

/** @param {{stage: Stage}} props */
function StageFacts({ stage }) {
  const { submission, outcome, file } = stage;
  return html`
    <${Facts}
      facts=${[
        ["Credits", `${credits(stage.credits)}, ${stage.charged ? "charged" : "not charged"}`],
        ["Routes", stage.routes.map((one) => `${one.provider} ${one.endpoint}`).join(", ")],
        ["Submission", submission && `${submission.provider}: ${submission.state}`],
        ["Task of the provider", submission?.request_id && html`<${Id} id=${submission.request_id} />`],
        ["Outcome", outcome && [outcome.state, outcome.failure_code].filter(Boolean).join(": ")],
        ["File", file && `${file.width} × ${file.height}, ${Math.ceil(file.size_bytes / 1000)} kB`],
      ]}
    />
    ${stage.refusals.length > 0 &&
    html`<${Table}
      label="Refusals"
      heads=${["Refused", "Provider", "Reason"]}
      empty=""
      rows=${stage.refusals.map((one) => [moment(one.at), one.provider, one.reason])}
    />`}
    ${stage.earlier.length > 0 &&
    html`<${Table}
      label="Earlier runs"
      heads=${["Earlier run", "Provider", "Outcome"]}
      empty=""
      rows=${stage.earlier.map((one) => [
        html`<${Id} id=${one.request_id ?? one.task_id} />`,
        one.provider,
        one.outcome ? [one.outcome.state, one.outcome.failure_code].filter(Boolean).join(": ") : "",
      ])}
    />`}`;
}

/** @param {{job: InspectedJob, reload: () => Promise<void>}} props */
function Actions({ job, reload }) {
  const [chosen, setChosen] = useState("");
  const [reason, setReason] = useState("");
  const [amount, setAmount] = useState(String(job.credits));
  const [why, setWhy] = useState("");
  const action = useAction();
  const goodwill = useAction();
  const act = () =>
    action.run(async () => {
      const body = { reason: reason.trim() };
      /** @type {Done} */
      const { result } = await request("POST", `/v1/admin/jobs/${job.job_id}/${chosen}`, { body });
      setChosen("");
      setReason("");
      await reload();
      return RESULTS[result] ?? result;
    });
  const grant = () =>
    goodwill.run(async () => {
      // The API grants goodwill once for a job, however often it is asked.
      const body = { user_id: job.user_id, amount: Number(amount), job_id: job.job_id, reason: why.trim() };
      const granted = await request("POST", "/v1/admin/grants", { body });
      await reload();
      return granted.replayed
        ? "The goodwill for this job was granted before. Nothing was added."
        : `${credits(body.amount)} were granted.`;
    });
  return html`
    ${!job.ended_at &&
    html`<div class="buttons">
      ${ACTIONS.map(
        ([path, name]) => html`<button
          class="quiet"
          type="button"
          aria-pressed=${chosen === path}
          onClick=${() => setChosen(chosen === path ? "" : path)}
        >
          ${name}
        </button>`,
      )}
    </div>`}
    ${chosen &&
    !job.ended_at &&
    html`<${Form} submit=${act} label="Reason">
      <${Field} id="reason" label="Why? The audit keeps it" value=${reason} set=${setReason} required wide />
      <div class="buttons">
        <button type="submit" disabled=${action.busy}>${ACTIONS.find(([path]) => path === chosen)?.[1]}</button>
      </div>
    <//>`}
    ${action.result}
    <${Form} submit=${grant} label="Goodwill">
      <${Field} id="goodwill" label="Goodwill, in credits, once for this job" type="number" value=${amount} set=${setAmount} required wide />
      <${Field} id="goodwill-reason" label="Why? The user can read it" value=${why} set=${setWhy} required wide />
      <div class="buttons"><button class="quiet" type="submit">Grant goodwill</button></div>
    <//>
    ${goodwill.result}`;
}
