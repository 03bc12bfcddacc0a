// Credits: the balance, when credits end, and the journal.
import { request, sentence } from "./api.js";
import { count, credits, day, moment } from "./format.js";
import { html, useEffect, useState } from "./html.js";
import { Alert, Empty, Failed, Loading } from "./parts.js";
import { usePolling, WAITING } from "./polling.js";

/** @typedef {import("./api.js").Entry} Entry */
/** @typedef {import("./api.js").Schemas["Credits"]} Balance */
/** @typedef {import("./api.js").Schemas["OfferedPack"]} Pack */

/** @type {Record<string, [string, number]>} the name, and the sign of the available balance */
const KINDS = {
  grant: ["Credits added", 1],
  hold: ["On hold for a video", -1],
  capture: ["Charged for a video", 0],
  release: ["Returned", 1],
  expire: ["Ended", -1],
  clawback: ["Taken back after a refund", -1],
  adjust: ["Corrected", 1],
};

/** @type {Record<string, string>} */
const LOTS = { promo: "a gift,", allowance: "of your plan,", purchased: "bought," };

/** @param {string} kind */
const kindName = (kind) =>
  KINDS[kind]?.[0] ?? kind.charAt(0).toUpperCase() + kind.slice(1).replaceAll("_", " ");

/** @param {{refreshBalance: () => void}} props */
export function Credits({ refreshBalance }) {
  const [balance, setBalance] = useState(/** @type {Balance | null} */ (null));
  const [entries, setEntries] = useState(/** @type {Entry[]} */ ([]));
  const [packs, setPacks] = useState(/** @type {Pack[]} */ ([]));
  const [cursor, setCursor] = useState(/** @type {string | null} */ (null));
  const [problem, setProblem] = useState("");
  const [moreProblem, setMoreProblem] = useState("");
  const load = async () => {
    setProblem("");
    try {
      const [now, journal, offered] = await Promise.all([
        request("GET", "/v1/credits"),
        request("GET", "/v1/credits/entries?limit=50"),
        request("GET", "/v1/packs"),
      ]);
      setPacks(offered.packs);
      setBalance(now);
      setEntries(journal.entries);
      setCursor(journal.cursor);
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  useEffect(() => void load(), []);
  // A purchase is credited while this page is open, or in another app.
  const refresh = async () => {
    const now = await request("GET", "/v1/credits");
    if (JSON.stringify(now) === JSON.stringify(balance)) return;
    const newest = await request("GET", "/v1/credits/entries?limit=50");
    setBalance(now);
    setEntries((old) => {
      const known = new Set(old.map((one) => one.sequence));
      return [...newest.entries.filter((/** @type {Entry} */ one) => !known.has(one.sequence)), ...old];
    });
    refreshBalance();
  };
  usePolling(refresh, balance !== null, WAITING);
  const loadMore = async () => {
    setMoreProblem("");
    try {
      const from = encodeURIComponent(cursor ?? "");
      const journal = await request("GET", `/v1/credits/entries?limit=50&cursor=${from}`);
      setEntries((old) => [...old, ...journal.entries]);
      setCursor(journal.cursor);
    } catch (error) {
      setMoreProblem(sentence(error));
    }
  };

  if (problem) return html`<h1>Credits</h1><${Failed} problem=${problem} retry=${load} />`;
  if (!balance) return html`<h1>Credits</h1><${Loading} number=${3} kind="cards" />`;
  const { lots, debt } = balance;
  return html`
    <h1>Credits</h1>
    <div class="figures">
      <div class="figure main"><strong>${count(balance.available)}</strong><span>available</span></div>
      <div class="figure"><strong>${count(balance.held)}</strong><span>on hold for running videos</span></div>
      ${debt > 0 &&
      html`<div class="figure bad"><strong>${count(debt)}</strong><span>owed; the next credits pay it first</span></div>`}
    </div>
    ${lots.length > 0 &&
    html`<section aria-labelledby="lots">
      <h2 id="lots">Your credits, in the order in which they are spent</h2>
      <ul class="lots">
        ${lots.map(
          (lot) => html`<li>
            <strong>${credits(lot.credits)}</strong>
            <span>${LOTS[lot.kind] ?? ""} ${lot.expires_at ? `until ${day(lot.expires_at)}` : "without an end"}</span>
          </li>`,
        )}
      </ul>
    </section>`}
    ${packs.length > 0 &&
    html`<section aria-labelledby="packs">
      <h2 id="packs">Packs</h2>
      <ul class="lots">
        ${packs.map(
          (pack) => html`<li>
            <strong>${credits(pack.credits)}</strong>
            <span>
              ${pack.name || pack.product_id}${pack.expires_after_days
                ? `, valid for ${count(pack.expires_after_days)} days`
                : ""}
            </span>
          </li>`,
        )}
      </ul>
    </section>`}
    <section aria-labelledby="journal">
      <h2 id="journal">Journal</h2>
      ${entries.length === 0
        ? html`<${Empty} title="No entries yet">Each credit that comes or goes is written here.<//>`
        : html`<div class="scroll" tabindex="0" role="region" aria-labelledby="journal">
            <table>
              <thead>
                <tr><th scope="col">When</th><th scope="col">What</th><th scope="col" class="number">Credits</th><th scope="col" class="number">Available after</th><th scope="col">Video</th></tr>
              </thead>
              <tbody>
                ${entries.map((entry) => html`<${Line} key=${entry.sequence} entry=${entry} />`)}
              </tbody>
            </table>
          </div>`}
      ${moreProblem && html`<${Alert}>${moreProblem}<//>`}
      ${cursor && html`<div class="more"><button class="quiet" type="button" onClick=${loadMore}>Show more</button></div>`}
    </section>`;
}

/** @param {{entry: Entry}} props */
function Line({ entry }) {
  const sign = (KINDS[entry.kind]?.[1] ?? 0) * Math.sign(entry.credits);
  const amount = `${sign > 0 ? "+" : sign < 0 ? "−" : ""}${count(Math.abs(entry.credits))}`;
  return html`<tr>
    <td><time dateTime=${entry.created_at}>${moment(entry.created_at)}</time></td>
    <td>${kindName(entry.kind)}</td>
    <td class=${`number ${sign > 0 ? "plus" : ""}`}>${amount}</td>
    <td class="number">${count(entry.balance_after)}</td>
    <td>${entry.job_id ? html`<a href=${`#/library/${entry.job_id}`}>Show<span class="unseen"> the video of ${moment(entry.created_at)}</span></a>` : ""}</td>
  </tr>`;
}
