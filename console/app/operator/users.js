// Users: one account with its lots, holds, journal and projects, and a grant of credits.
import { request } from "../api.js";
import { count, credits, day, moment } from "../format.js";
import { html, useState } from "../html.js";
import { Status } from "../parts.js";
import {
  address, Facts, Field, Form, Id, More, Section, Shown, Table, useAction, usePages, useRead,
} from "./parts.js";

/** @typedef {import("../api.js").Schemas["InspectedUser"]} InspectedUser */
/** @typedef {import("../api.js").Entry} Entry */
/** @typedef {import("../api.js").ProjectSummary} ProjectSummary */

export function Users() {
  const [id, setId] = useState("");
  const submit = () => {
    if (id.trim()) location.hash = address("users", id.trim());
  };
  return html`
    <h1>Users</h1>
    <${Form} submit=${submit} label="Open a user">
      <${Field} id="user-id" label="User id" type="search" value=${id} set=${setId} required wide />
      <div class="buttons"><button type="submit">Open</button></div>
    <//>
    <p class="none">A user's id is the subject of their token. Each job names its user.</p>`;
}

/** @param {{id: string}} props */
export function User({ id }) {
  const path = `/v1/admin/users/${encodeURIComponent(id)}`;
  const read = useRead(path);
  const entries = usePages(`${path}/entries?limit=25`, "entries");
  const projects = usePages(`${path}/projects?limit=25`, "projects");
  const granted = async () => {
    await Promise.all([read.load(), entries.load()]);
  };
  return html`
    <p class="back"><a href=${address("users")}>Other users</a></p>
    <div class="title">
      <h1>User <span class="id">${id}</span></h1>
      <a class="button quiet" href=${`${address("jobs")}?user_id=${encodeURIComponent(id)}`}>Jobs of this user</a>
    </div>
    <${Shown} read=${read}>
      ${(/** @type {InspectedUser} */ user) => html`
        <div class="halves">
          <${Section} title="Account">
            <${Facts}
              facts=${[
                ["Available", credits(user.credits.available)],
                ["On hold", credits(user.credits.held)],
                ["Debt", user.credits.debt ? credits(user.credits.debt) : ""],
                ["Running jobs", count(user.counts.open_jobs)],
                ["Running clips", count(user.counts.open_clips)],
                ["Ordered this hour", count(user.counts.jobs_this_hour)],
              ]}
            />
            ${user.credits.lots.length > 0 &&
            html`<${Table}
              label="Lots"
              heads=${["Kind", "#Credits", "Until"]}
              empty=""
              rows=${user.credits.lots.map((lot) => [lot.kind, count(lot.credits), day(lot.expires_at) || "no end"])}
            />`}
          <//>
          <${Section} title="Grant credits"><${Grant} userId=${id} granted=${granted} /><//>
        </div>
        <${Section} title="Open holds">
          <${Table}
            label="Open holds"
            heads=${["Ordered", "State", "#Credits", "Deadline"]}
            empty="Nothing is on hold."
            rows=${user.open_holds.map((hold) => [
              html`<a href=${address("jobs", hold.job_id)}>${moment(hold.created_at)}</a>`,
              html`<${Status} status=${hold.status} />`,
              count(hold.credits),
              moment(hold.deadline),
            ])}
          />
        <//>`}
    <//>
    <${Section} title="Journal">
      <${Shown} read=${entries}>
        ${(/** @type {Entry[]} */ rows) => html`<${Table}
          label="Journal"
          heads=${["When", "What", "#Credits", "#Available after", "Job or reference"]}
          empty="No entry."
          rows=${rows.map((entry) => [
            moment(entry.created_at),
            [entry.kind, entry.credit_kind, entry.reason].filter(Boolean).join(", "),
            count(entry.credits),
            count(entry.balance_after),
            html`<${Id} id=${entry.job_id ?? entry.reference} page=${entry.job_id ? "jobs" : undefined} />`,
          ])}
        />`}
      <//>
      <${More} pages=${entries} />
    <//>
    <${Section} title="Projects">
      <${Shown} read=${projects}>
        ${(/** @type {ProjectSummary[]} */ rows) => html`<${Table}
          label="Projects"
          heads=${["Changed", "Name", "#Scenes", "Id"]}
          empty="No project."
          rows=${rows.map((one) => [
            moment(one.updated_at),
            one.name ?? "",
            count(one.scene_count),
            html`<${Id} id=${one.project_id} />`,
          ])}
        />`}
      <//>
      <${More} pages=${projects} />
    <//>`;
}

/** @param {{userId: string, granted: () => Promise<void>}} props */
function Grant({ userId, granted }) {
  const [amount, setAmount] = useState("");
  const [kind, setKind] = useState("purchased");
  const [until, setUntil] = useState("");
  const [reference, setReference] = useState(() => `console-${crypto.randomUUID()}`);
  const action = useAction();
  const grant = () =>
    action.run(async () => {
      const body = {
        user_id: userId,
        amount: Number(amount),
        reference,
        kind,
        ...(until && kind !== "purchased" ? { expires_at: new Date(`${until}T23:59:59`).toISOString() } : {}),
      };
      const answer = await request("POST", "/v1/admin/grants", { body });
      await granted();
      setReference(`console-${crypto.randomUUID()}`);
      return answer.replayed ? "This reference was granted before. Nothing was added." : `${credits(body.amount)} were granted.`;
    });
  return html`
    <${Form} submit=${grant} label="Grant credits">
      <${Field} id="amount" label="Credits" type="number" value=${amount} set=${setAmount} required />
      <${Field} id="kind" label="Kind" options=${["purchased", "allowance", "promo"]} value=${kind} set=${setKind} />
      ${kind !== "purchased" && html`<${Field} id="until" label="Last day" type="date" value=${until} set=${setUntil} />`}
      <${Field} id="reference" label="Reference: the same one is granted once" value=${reference} set=${setReference} required wide />
      <div class="buttons"><button type="submit" disabled=${action.busy}>Grant</button></div>
    <//>
    ${action.result}`;
}
