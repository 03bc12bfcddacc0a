// Library: all videos of the user, newest first, with a player and what can be done with each.
import { order, request, sentence } from "./api.js";
import { repeat } from "./create.js";
import { credits, moment, settingName, settingValue } from "./format.js";
import { html, useEffect, useRef, useState } from "./html.js";
import {
  Alert, Confirmed, Dialog, Empty, Failed, Loading, Outcome, Priced, Progress, Status, Thumbnail,
} from "./parts.js";
import { runs, useVideos } from "./videos.js";

/** @typedef {import("./api.js").Video} Video */

const FILTERS = [
  ["", "All"],
  ["processing", "In progress"],
  ["completed", "Ready"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
];

/** @param {{jobId: string, refreshBalance: () => void}} props */
export function Library({ jobId, refreshBalance }) {
  const [status, setStatus] = useState("");
  const feed = useVideos({ status });
  const { videos, state, more } = feed;
  const open = videos.find((one) => one.job_id === jobId);
  const close = () => {
    if (location.hash !== "#/library") location.hash = "#/library";
  };
  return html`
    <div class="title">
      <h1>Library</h1>
      <fieldset class="plain filters">
        <legend class="unseen">Show</legend>
        <div class="choices">
          ${FILTERS.map(
            ([value, label]) => html`<label>
              <input
                type="radio"
                name="status"
                checked=${value === status}
                onChange=${() => setStatus(value ?? "")}
              /><span>${label}</span>
            </label>`,
          )}
        </div>
      </fieldset>
    </div>
    ${state === "failed" && html`<${Failed} problem=${feed.problem} retry=${feed.load} />`}
    ${state === "loading" && html`<${Loading} number=${8} kind="grid" />`}
    ${state === "ready" &&
    videos.length === 0 &&
    html`<${Empty}
      title=${status ? "No such video" : "You have no videos yet"}
      action=${html`<a class="button" href="#/create">Create a video</a>`}
    >
      ${status ? "No video has this state now." : "Videos that you create are kept here."}
    <//>`}
    <ul class="grid">
      ${videos.map((job) => html`<${Tile} key=${job.job_id} job=${job} />`)}
    </ul>
    ${state === "ready" && more && html`<${More} loadMore=${feed.loadMore} />`}
    ${jobId && state !== "loading" && html`<${Details}
      key=${jobId}
      jobId=${jobId}
      listed=${open}
      close=${close}
      changed=${async () => {
        await feed.refresh().catch(() => {});
        refreshBalance();
      }}
      deleted=${() => {
        feed.forget(jobId);
        close();
      }}
    />`}`;
}

/** @param {{job: Video}} props */
const Tile = ({ job }) => html`
  <li>
    <a class="tile" href=${`#/library/${job.job_id}`}>
      <${Thumbnail} job=${job} />
      <div class="text">
        <p class="prompt">${job.prompt}</p>
        <p class="about"><${Status} status=${job.status} /> ${job.model_name}</p>
        ${runs(job)
          ? html`<${Progress} job=${job} />`
          : html`<p class="about"><time dateTime=${job.created_at}>${moment(job.created_at)}</time></p>`}
        <${Outcome} job=${job} />
      </div>
    </a>
  </li>`;

/** Loads the next page when the end of the list comes into view, or by its button. */
function More(/** @type {{loadMore: () => Promise<void>}} */ { loadMore }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const button = useRef(/** @type {HTMLElement | null} */ (null));
  const load = async () => {
    setBusy(true);
    setProblem("");
    await loadMore().catch((error) => setProblem(sentence(error)));
    setBusy(false);
  };
  useEffect(() => {
    const element = button.current;
    if (!element || busy || problem) return undefined;
    const observer = new IntersectionObserver((seen) => seen[0]?.isIntersecting && void load());
    observer.observe(element);
    return () => observer.disconnect();
  }, [loadMore, busy, problem]);
  return html`<div class="more">
    ${problem && html`<${Alert}>${problem}<//>`}
    <button class="quiet" type="button" ref=${button} disabled=${busy} onClick=${load}>
      ${busy ? "Loading …" : "Show more"}
    </button>
  </div>`;
}

/**
 * @param {{jobId: string, listed: Video | undefined, close: () => void,
 *   changed: () => Promise<void>, deleted: () => void}} props
 */
function Details({ jobId, listed, close, changed, deleted }) {
  const [found, setFound] = useState(/** @type {Video | null} */ (null));
  const [problem, setProblem] = useState("");
  const [saving, setSaving] = useState(false);
  useEffect(() => {
    if (listed) return;
    request("GET", `/v1/videos/${encodeURIComponent(jobId)}`).then(setFound, (error) =>
      setProblem(error.status === 404 ? "There is no such video." : sentence(error)),
    );
  }, [jobId]);
  const job = listed ?? found;
  if (!job)
    return html`<${Dialog} title="Video" onClose=${close}>
      ${problem ? html`<${Alert}>${problem}<//>` : html`<${Loading} number=${1} kind="rows" />`}
    <//>`;

  const act = async (/** @type {() => Promise<unknown>} */ action) => {
    setProblem("");
    try {
      await action();
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  const cancel = () =>
    act(async () => {
      await request("POST", `/v1/videos/${job.job_id}/cancel`);
      setFound(await request("GET", `/v1/videos/${job.job_id}`));
      await changed();
    });
  const remove = () =>
    act(async () => {
      await request("DELETE", `/v1/videos/${job.job_id}`);
      deleted();
    });
  const download = async () => {
    setSaving(true);
    await act(() => save(job));
    setSaving(false);
  };
  const facts = [
    ["Model", job.model_name],
    ...Object.entries(job.settings)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [settingName(name), settingValue(name, value)]),
    ["Created", moment(job.created_at)],
    ...(job.completed_at ? [["Ended", moment(job.completed_at)]] : []),
    ...(job.video_expires_at ? [["Kept until", moment(job.video_expires_at)]] : []),
    [runs(job) ? "On hold" : "Charged", credits(job.credits_used)],
    ...(job.cached ? [["File", "that of an identical video"]] : []),
  ];
  return html`
    <${Dialog} title=${job.prompt} onClose=${close}>
      ${job.video_url
        ? html`<video
            controls
            playsinline
            preload="metadata"
            src=${job.video_url}
            poster=${job.thumbnail_url ?? ""}
            aria-label=${job.prompt}
          ></video>`
        : html`<${Thumbnail} job=${job} />`}
      ${runs(job) && html`<${Progress} job=${job} />`}
      <p><${Status} status=${job.status} /></p>
      <${Outcome} job=${job} />
      <dl class="facts">
        ${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
      </dl>
      ${problem && html`<${Alert}>${problem}<//>`}
      <div class="buttons">
        ${job.video_url &&
        html`<button type="button" disabled=${saving} onClick=${download}>
          ${saving ? "Downloading …" : "Download"}
        </button>`}
        ${job.scene_id
          ? html`<a class="button quiet" href=${`#/storyboard/${job.project_id}`}>Show in its storyboard</a>`
          : html`<${Again} job=${job} changed=${changed} />
              <button class="quiet" type="button" onClick=${() => repeat(job)}>Change and repeat</button>`}
        ${runs(job)
          ? html`<${Confirmed} label="Cancel video" question="Cancel this video?" act=${cancel} />`
          : html`<${Confirmed} label="Delete" question="Delete it for good?" act=${remove} />`}
      </div>
    <//>`;
}

/**
 * Orders the same video once more. A job does not contain the last image it was ordered with, so this
 * is for models without one.
 * @param {{job: Video, changed: () => Promise<void>}} props
 */
function Again({ job, changed }) {
  const [fits, setFits] = useState(false);
  const [news, setNews] = useState("");
  useEffect(() => {
    const path = `/v1/models/${encodeURIComponent(job.model_id)}`;
    request("GET", path).then((model) => setFits(model.last_image === "none"), () => {});
  }, []);
  if (!fits) return null;
  const body = {
    model_id: job.model_id,
    prompt: job.prompt,
    settings: job.settings,
    ...(job.image_url ? { image_url: job.image_url } : {}),
  };
  return html`<${Priced}
      label="Render again"
      ask=${() => request("POST", "/v1/videos/estimate", { body })}
      order=${async (/** @type {number} */ expected) => {
        await order("/v1/videos", body, expected);
        setNews("It was ordered again, as a new video.");
        await changed();
      }}
    />
    <p class="news" role="status">${news}</p>`;
}

/** Saves the file under a name of its own: the attribute `download` needs a URL of this page. */
async function save(/** @type {Video} */ job) {
  const fresh = await request("GET", `/v1/videos/${job.job_id}`);
  const answer = await fetch(fresh.video_url);
  if (!answer.ok) throw new Error("no file");
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = `${job.job_id}.mp4`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
