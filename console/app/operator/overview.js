// Overview: what runs, what needs attention, and what the jobs of the last days did, cost and earned.
import { request, sentence } from "../api.js";
import { count, credits } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { Alert } from "../parts.js";
import { Alarms } from "./alarms.js";
import { Chart } from "./chart.js";
import { address, Section, Shown, Table, useRead } from "./parts.js";
import { circuit } from "./providers.js";
import { span } from "./timeline.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {Schemas["Usage"]} Usage */
/** @typedef {Schemas["JobRow"]} JobRow */

const DAY_MS = 86_400_000;
const PERIODS = [
  [1, "24 hours"],
  [7, "7 days"],
  [30, "30 days"],
];
const MOST_OPEN = 200;
const MOST_HOURLY = 500;

const DOLLARS = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD" });
const PERCENT = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

const HOUR = new Intl.DateTimeFormat(undefined, { hour: "numeric" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

/** @param {number | null} value @param {(value: number) => string} text */
const known = (value, text) => (value === null || value === undefined ? "–" : text(value));
const percent = (/** @type {number | null} */ value) => known(value, (one) => PERCENT.format(one));
const dollars = (/** @type {number | null} */ value) => known(value, (one) => DOLLARS.format(one));
const seconds = (/** @type {number | null} */ value) => known(value, span);

const whole = (/** @type {number} */ value) => `${count(Math.round(value))} s`;

/** A day of UTC, by which usage is counted. @param {number} ago */
const utcDay = (ago) => new Date(Date.now() - ago * DAY_MS).toISOString().slice(0, 10);

export function Overview() {
  const [days, setDays] = useState(7);
  return html`
    <div class="title">
      <h1>Overview</h1>
      <fieldset class="plain filters">
        <legend class="unseen">Period</legend>
        <div class="choices">
          ${PERIODS.map(
            ([value, label]) => html`<label>
              <input type="radio" name="days" checked=${value === days} onChange=${() => setDays(Number(value))} />
              <span>${label}</span>
            </label>`,
          )}
        </div>
      </fieldset>
    </div>
    <${Alarms} />
    <${Now} />
    <${Attention} />
    ${days === 1 ? html`<${Hours} />` : html`<${Days} key=${days} days=${days} />`}
    <${Groups} days=${days} by="provider" title="By provider" />
    <${Groups} days=${days} by="model" title="By model" />`;
}

/**
 * All jobs of a list, up to so many.
 * @param {string} query
 * @param {number} most
 * @returns {Promise<{jobs: JobRow[], all: boolean}>}
 */
async function read(query, most) {
  /** @type {JobRow[]} */
  const jobs = [];
  let cursor = "";
  do {
    const page = await request("GET", `/v1/admin/jobs?limit=100&${query}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    jobs.push(...page.jobs);
    cursor = page.next_cursor ?? "";
  } while (cursor && jobs.length < most);
  return { jobs, all: !cursor };
}

/** What is open now: running jobs, and the hold that is oldest. */
function Now() {
  const [open, setOpen] = useState(/** @type {{jobs: JobRow[], all: boolean} | null} */ (null));
  const [problem, setProblem] = useState("");
  const load = async () => {
    setProblem("");
    try {
      const [pending, processing] = await Promise.all([
        read("status=pending", MOST_OPEN),
        read("status=processing", MOST_OPEN),
      ]);
      setOpen({ jobs: [...pending.jobs, ...processing.jobs], all: pending.all && processing.all });
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  useEffect(() => void load(), []);
  if (problem) return html`<${Alert}>${problem}<//>`;
  const jobs = open?.jobs ?? [];
  const number = (/** @type {string} */ status) => jobs.filter((one) => one.status === status).length;
  const oldest = jobs.reduce(
    (/** @type {JobRow | null} */ before, one) => (before && before.created_at < one.created_at ? before : one),
    null,
  );
  const more = open?.all === false ? "+" : "";
  return html`<div class="figures">
    <a class="figure" href=${`${address("jobs")}?status=processing`}>
      <strong>${open ? count(number("processing")) + more : "…"}</strong><span>in progress</span>
    </a>
    <a class="figure" href=${`${address("jobs")}?status=pending`}>
      <strong>${open ? count(number("pending")) + more : "…"}</strong><span>waiting</span>
    </a>
    <div class="figure">
      <strong>${open ? count(jobs.reduce((sum, one) => sum + one.credits, 0)) + more : "…"}</strong><span>credits on hold</span>
    </div>
    <a class="figure" href=${oldest ? address("jobs", oldest.job_id) : address("jobs")}>
      <strong>${open ? (oldest ? span((Date.now() - Date.parse(oldest.created_at)) / 1000) : "none") : "…"}</strong>
      <span>${more ? "an old hold" : "oldest hold"}</span>
    </a>
  </div>`;
}

/** What an operator should look at, from what the API knows. */
function Attention() {
  const [found, setFound] = useState(/** @type {{text: string, href: string}[] | null} */ (null));
  const [problem, setProblem] = useState("");
  const load = async () => {
    try {
      const [providers, webhooks, purchases, usage] = await Promise.all([
        request("GET", "/v1/admin/providers"),
        request("GET", "/v1/admin/webhooks"),
        request("GET", "/v1/admin/purchases"),
        request("GET", `/v1/admin/usage?from=${utcDay(1)}&to=${utcDay(0)}`),
      ]);
      setFound(warnings(providers, webhooks, purchases, usage));
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  useEffect(() => void load(), []);
  if (problem) return html`<${Alert}>${problem}<//>`;
  if (!found) return null;
  return html`<${Section} title="Needs attention">
    ${found.length === 0
      ? html`<p class="none">Nothing. Keys, circuits, webhooks, purchases and orphans are as they should be.</p>`
      : html`<ul class="warnings">
          ${found.map((one) => html`<li><a href=${one.href}>${one.text}</a></li>`)}
        </ul>`}
  <//>`;
}

/**
 * @param {Schemas["ProviderList"]} providers
 * @param {Schemas["WebhookList"]} webhooks
 * @param {Schemas["PurchaseList"]} purchases
 * @param {Usage} usage
 */
function warnings(providers, webhooks, purchases, usage) {
  const used = providers.providers.filter((one) => one.models.length > 0);
  const off = webhooks.webhooks.filter((one) => (one.enabled ? one.failing_since : one.disabled_reason !== "owner"));
  const waiting = purchases.purchases.length;
  const { orphans } = usage.totals;
  return [
    ...used
      .filter((one) => one.key_present === false)
      .map((one) => ({ text: `${one.provider} has models but no key`, href: address("providers") })),
    ...used
      .filter((one) => one.circuit !== "closed")
      .map((one) => ({ text: `${one.provider} ${circuit(one)[0]}`, href: address("providers") })),
    ...off.map((one) => ({ text: `Events do not reach ${one.url}`, href: address("webhooks", one.webhook_id) })),
    ...(waiting ? [{ text: `${count(waiting)} paid ${waiting === 1 ? "purchase waits" : "purchases wait"}`, href: address("purchases") }] : []),
    ...(orphans
      ? [{ text: `${count(orphans)} orphans since yesterday: paid to a provider for nothing`, href: address("jobs") }]
      : []),
  ];
}

/** The days of a period, each with its counters. @param {{days: number}} props */
function Days({ days }) {
  const usage = useRead(`/v1/admin/usage?from=${utcDay(days - 1)}&to=${utcDay(0)}&group_by=day`);
  return html`<${Shown} read=${usage} kind="cards">
    ${(/** @type {Usage} */ found) => {
      const byDay = new Map(found.groups.map((one) => [one.key, one]));
      const keys = Array.from({ length: days }, (_, index) => utcDay(days - 1 - index));
      const groups = keys.map((key) => byDay.get(key));
      const labels = keys.map((key) => DAY.format(new Date(key)));
      const { totals } = found;
      const costs = groups.map((one) => one?.provider_cost_usd ?? null);
      return html`
        <${Totals} totals=${totals} />
        <div class="halves">
          <${Chart}
            title="Jobs that ended, by day"
            summary=${`${count(totals.completed)} completed, ${count(totals.failed)} failed, ${count(totals.cancelled)} cancelled`}
            labels=${labels}
            lines=${[
              { name: "all", colour: "accent", bars: true, values: groups.map((one) => one?.jobs ?? 0), text: count },
              { name: "failed", colour: "bad", bars: true, values: groups.map((one) => one?.failed ?? 0), text: count },
            ]}
          />
          <${Chart}
            title="Time from the order to the video, by day"
            summary=${`the median ${seconds(totals.p50_seconds)}, the 95th percentile ${seconds(totals.p95_seconds)}`}
            labels=${labels}
            lines=${[
              { name: "p95", colour: "warm", values: groups.map((one) => one?.p95_seconds ?? null), text: whole },
              { name: "median", colour: "accent", values: groups.map((one) => one?.p50_seconds ?? null), text: whole },
            ]}
          />
          <${Chart}
            title=${costs.some((one) => one !== null) ? "Credits captured, and the cost at providers" : "Credits captured and released"}
            summary=${`${credits(totals.credits_captured)} captured, cost ${dollars(totals.provider_cost_usd)}`}
            labels=${labels}
            lines=${[
              {
                name: "captured",
                colour: "accent",
                bars: true,
                values: groups.map((one) => one?.credits_captured ?? 0),
                text: count,
              },
              costs.some((one) => one !== null)
                ? { name: "cost", colour: "warm", right: true, values: costs, text: (/** @type {number} */ value) => DOLLARS.format(value) }
                : { name: "released", colour: "dim", values: groups.map((one) => one?.credits_released ?? 0), text: count },
            ]}
          />
        </div>`;
    }}
  <//>`;
}

/** @param {{totals: Usage["totals"]}} props */
const Totals = ({ totals }) => html`<div class="figures">
  <div class="figure"><strong>${count(totals.jobs)}</strong><span>jobs ended</span></div>
  <div class="figure"><strong>${percent(totals.success_rate)}</strong><span>success</span></div>
  <div class="figure"><strong>${seconds(totals.p95_seconds)}</strong><span>p95 until the video</span></div>
  <div class="figure"><strong>${count(totals.credits_captured)}</strong><span>credits captured</span></div>
  ${totals.provider_cost_usd !== null &&
  html`<div class="figure"><strong>${dollars(totals.provider_cost_usd)}</strong><span>cost at providers</span></div>`}
</div>`;

/** The last 24 hours, from the jobs themselves: usage is counted by day. */
function Hours() {
  const [found, setFound] = useState(/** @type {{jobs: JobRow[], all: boolean} | null} */ (null));
  const [problem, setProblem] = useState("");
  const [end] = useState(() => Math.ceil(Date.now() / 3_600_000));
  useEffect(() => {
    const from = new Date((end - 24) * 3_600_000).toISOString();
    read(`from=${encodeURIComponent(from)}`, MOST_HOURLY).then(setFound, (error) => setProblem(sentence(error)));
  }, []);
  if (problem) return html`<${Alert}>${problem}<//>`;
  if (!found) return html`<p class="none" role="status">Loading …</p>`;
  const hours = Array.from({ length: 24 }, (_, index) => end - 24 + index);
  const hourOf = (/** @type {JobRow} */ job) => Math.floor(Date.parse(job.created_at) / 3_600_000);
  // A job may have ended in this time and been ordered before it.
  const jobs = found.jobs.filter((one) => hourOf(one) >= end - 24);
  const of = (/** @type {number} */ hour, /** @type {string} */ status) =>
    jobs.filter((one) => hourOf(one) === hour && (!status || one.status === status));
  const captured = jobs.reduce((sum, one) => sum + one.credits_captured, 0);
  const failed = jobs.filter((one) => one.status === "failed").length;
  const labels = hours.map((hour) => HOUR.format(hour * 3_600_000));
  return html`
    ${!found.all &&
    html`<p class="notice">
      There were more jobs than are read here. Both charts show only the newest ${count(found.jobs.length)}, so the numbers of
      earlier hours are too low. The charts of 7 and 30 days count all jobs.
    </p>`}
    <div class="halves">
      <${Chart}
        title="Jobs ordered, by hour"
        summary=${`${count(jobs.length)} ordered, ${count(failed)} failed`}
        labels=${labels}
        lines=${[
          { name: "all", colour: "accent", bars: true, values: hours.map((hour) => of(hour, "").length), text: count },
          { name: "failed", colour: "bad", bars: true, values: hours.map((hour) => of(hour, "failed").length), text: count },
        ]}
      />
      <${Chart}
        title="Credits captured, by hour of the order"
        summary=${credits(captured)}
        labels=${labels}
        lines=${[
          {
            name: "captured",
            colour: "accent",
            bars: true,
            values: hours.map((hour) => of(hour, "").reduce((sum, one) => sum + one.credits_captured, 0)),
            text: count,
          },
        ]}
      />
    </div>`;
}

/** @param {{days: number, by: string, title: string}} props */
function Groups({ days, by, title }) {
  const first = days === 1 ? 1 : days - 1;
  const usage = useRead(`/v1/admin/usage?from=${utcDay(first)}&to=${utcDay(0)}&group_by=${by}`);
  return html`<${Section} title=${days === 1 ? `${title}, since yesterday (UTC)` : title}>
    <${Shown} read=${usage}>
      ${(/** @type {Usage} */ { groups }) => {
        const costs = groups.some((one) => one.provider_cost_usd !== null);
        return html`<${Table}
          label=${title}
          heads=${[
            by === "model" ? "Model" : "Provider",
            ...["#Jobs", "#Success", "#Median", "#p95", "#Captured"],
            ...(costs ? ["#Cost", "#Margin"] : []),
            "#Orphans",
          ]}
          empty="No job has ended in this time."
          rows=${groups.map((one) => [
            html`<a href=${`${address("jobs")}?${by}=${encodeURIComponent(one.key)}`}>${one.key}</a>`,
            count(one.jobs),
            html`<${Share} value=${one.success_rate} />`,
            seconds(one.p50_seconds),
            seconds(one.p95_seconds),
            count(one.credits_captured),
            ...(costs ? [dollars(one.provider_cost_usd), dollars(one.margin_usd)] : []),
            count(one.orphans),
          ])}
        />`;
      }}
    <//>
  <//>`;
}

/** A part as a bar and a number. @param {{value: number | null}} props */
const Share = ({ value }) =>
  value === null
    ? "–"
    : html`<span class="share"><meter min="0" max="1" low="0.8" high="0.95" optimum="1" value=${value} aria-hidden="true"></meter><span>${percent(value)}</span></span>`;
