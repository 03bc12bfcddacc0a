// Storyboard: a user's projects, and one project with its scenes.
import { changedPrice, order, request, sentence } from "./api.js";
import { credits, moment } from "./format.js";
import { html, useCallback, useEffect, useState } from "./html.js";
import { Alert, Confirmed, Empty, Failed, Loading } from "./parts.js";
import { usePolling } from "./polling.js";
import { betweenImages, SceneCard } from "./scene.js";
import { runs } from "./videos.js";

/** @typedef {import("./api.js").Project} Project */
/** @typedef {import("./api.js").ProjectSummary} ProjectSummary */
/** @typedef {import("./api.js").Scene} Scene */
/** @typedef {import("./api.js").Schemas["Catalog"]} Catalog */

const MOST_SCENES = 50;

/** @param {{projectId: string, refreshBalance: () => void}} props */
export const Storyboard = ({ projectId, refreshBalance }) =>
  projectId
    ? html`<${Board} key=${projectId} projectId=${projectId} refreshBalance=${refreshBalance} />`
    : html`<${Projects} />`;

function Projects() {
  const [projects, setProjects] = useState(/** @type {ProjectSummary[] | null} */ (null));
  const [cursor, setCursor] = useState(/** @type {string | null} */ (null));
  const [problem, setProblem] = useState("");
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState("");
  const load = async (/** @type {string | null} */ from) => {
    setProblem("");
    try {
      const more = from ? `&cursor=${encodeURIComponent(from)}` : "";
      const page = await request("GET", `/v1/projects?limit=50${more}`);
      setProjects((old) => [...(from ? (old ?? []) : []), ...page.projects]);
      setCursor(page.cursor);
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  useEffect(() => void load(null), []);
  const make = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setFailed("");
    try {
      const made = await request("POST", "/v1/projects", { body: { name: name.trim() || null } });
      location.hash = `#/storyboard/${made.project_id}`;
    } catch (error) {
      setFailed(sentence(error));
      setBusy(false);
    }
  };
  // An image that was uploaded for one video is a project without scenes and without a name.
  const shown = projects?.filter((one) => one.name !== null || one.scene_count > 0);
  return html`
    <h1>Storyboard</h1>
    <form class="line" onSubmit=${make}>
      <label class="unseen" for="name">Name of the new project</label>
      <input
        id="name"
        type="text"
        maxlength="128"
        placeholder="Name of a new project"
        value=${name}
        onInput=${(/** @type {any} */ event) => setName(event.target.value)}
      />
      <button type="submit" disabled=${busy}>Create project</button>
    </form>
    ${failed && html`<${Alert}>${failed}<//>`}
    ${problem
      ? html`<${Failed} problem=${problem} retry=${() => load(null)} />`
      : !shown
        ? html`<${Loading} number=${3} kind="cards" />`
        : shown.length === 0
          ? html`<${Empty} title="No projects yet">
              A project has scenes. A scene with a first and a last image becomes a clip.
            <//>`
          : html`<ul class="grid">
              ${shown.map(
                (one) => html`<li key=${one.project_id}>
                  <a class="tile" href=${`#/storyboard/${one.project_id}`}>
                    <div class="text">
                      <p class="prompt">${one.name ?? "Without a name"}</p>
                      <p class="about">
                        ${one.scene_count} ${one.scene_count === 1 ? "scene" : "scenes"} ·${" "}
                        <time dateTime=${one.updated_at}>${moment(one.updated_at)}</time>
                      </p>
                    </div>
                  </a>
                </li>`,
              )}
            </ul>`}
    ${cursor && html`<div class="more"><button class="quiet" type="button" onClick=${() => load(cursor)}>Show more</button></div>`}`;
}

/** @param {{projectId: string, refreshBalance: () => void}} props */
function Board({ projectId, refreshBalance }) {
  const [project, setProject] = useState(/** @type {Project | null} */ (null));
  const [problem, setProblem] = useState("");
  const [failed, setFailed] = useState("");
  const [news, setNews] = useState("");
  const [busy, setBusy] = useState(false);
  // Nothing is priced or ordered while a change of a scene is being saved.
  const [saving, setSaving] = useState(0);
  const [price, setPrice] = useState(/** @type {{credits: number} | "unknown" | null} */ (null));
  const [asked, setAsked] = useState(0);
  const [catalog, setCatalog] = useState(/** @type {Catalog | null} */ (null));
  const path = `/v1/projects/${encodeURIComponent(projectId)}`;

  const load = useCallback(async () => {
    try {
      const read = /** @type {Project} */ (await request("GET", path));
      setProject((old) => keptUrls(old, read));
      setProblem("");
    } catch (error) {
      setProblem(sentence(error));
    }
  }, [path]);
  useEffect(() => void load(), [load]);
  // Without the catalog the scenes have their default models.
  useEffect(() => void request("GET", "/v1/models").then(setCatalog, () => {}), []);
  const scenes = project?.scenes ?? [];
  const running = scenes.filter((one) => one.job_id && runs(one)).length;
  usePolling(load, running > 0);
  useEffect(() => refreshBalance(), [running]);
  const ready = scenes.filter((one) => betweenImages(one) && !(one.job_id && runs(one)) && !one.video_url);
  const readyIds = ready.map((one) => one.scene_id).join();
  useEffect(() => {
    setPrice(null);
    if (!readyIds) return undefined;
    const leaving = new AbortController();
    const options = { body: { scene_ids: readyIds.split(",") }, signal: leaving.signal };
    request("POST", `${path}/clips/estimate`, options).then(
      setPrice,
      () => leaving.signal.aborted || setPrice("unknown"),
    );
    return () => leaving.abort();
  }, [readyIds, JSON.stringify(ready.map((one) => [one.duration, one.model_id])), asked]);

  const act = async (/** @type {() => Promise<unknown>} */ action) => {
    setFailed("");
    setNews("");
    try {
      await action();
      await load();
      return true;
    } catch (error) {
      setFailed(sentence(error));
      return false;
    }
  };
  const renderAll = async () => {
    setBusy(true);
    const done = await act(async () => {
      try {
        const body = { scene_ids: ready.map((one) => one.scene_id), force: false };
        await order(`${path}/clips`, body, price === "unknown" ? undefined : price?.credits);
      } catch (error) {
        const changed = changedPrice(error);
        if (changed !== null) setPrice({ credits: changed });
        throw error;
      }
    });
    if (done) setNews("The clips were ordered.");
    setBusy(false);
  };

  if (problem && !project)
    return html`<p><a href="#/storyboard">All projects</a></p><${Failed} problem=${problem} retry=${load} />`;
  if (!project) return html`<${Loading} number=${3} kind="rows" />`;
  return html`
    <p class="back"><a href="#/storyboard">All projects</a></p>
    <div class="title">
      <h1>${project.name ?? "Without a name"}</h1>
      <div class="buttons">
        <button
          type="button"
          disabled=${busy || saving > 0 || ready.length === 0 || price === null}
          onClick=${() => (price === "unknown" ? setAsked(asked + 1) : renderAll())}
        >
          ${ready.length === 0
            ? "Nothing to render"
            : price === "unknown"
              ? "Ask for the price again"
              : `Render ${ready.length} ${ready.length === 1 ? "clip" : "clips"} · ${price ? credits(price.credits) : "…"}`}
        </button>
      </div>
    </div>
    ${failed && html`<${Alert}>${failed}<//>`}
    <p class="news" role="status">${news}</p>
    ${scenes.length === 0 &&
    html`<${Empty} title="No scenes yet">Add the first one, and give it two images and a prompt.<//>`}
    <ol class="scenes">
      ${scenes.map(
        (scene, index) => html`<${SceneCard}
          key=${scene.scene_id}
          scene=${scene}
          number=${index + 1}
          catalog=${catalog}
          disabled=${busy || saving > 0}
          change=${async (/** @type {object} */ changes) => {
            setSaving((number) => number + 1);
            const done = await act(() =>
              request("PATCH", `${path}/scenes/${scene.scene_id}`, { body: changes }),
            );
            setSaving((number) => number - 1);
            return done;
          }}
          uploading=${(/** @type {boolean} */ busy) => setSaving((number) => number + (busy ? 1 : -1))}
          remove=${() => act(() => request("DELETE", `${path}/scenes/${scene.scene_id}`))}
          ordered=${async () => {
            setNews(`Scene ${index + 1} was ordered.`);
            await load();
          }}
        />`,
      )}
    </ol>
    <div class="buttons">
      <button
        class="quiet"
        type="button"
        disabled=${scenes.length >= MOST_SCENES}
        onClick=${() => act(() => request("POST", `${path}/scenes`, { body: {} }))}
      >
        Add a scene
      </button>
      <${Confirmed}
        label="Delete project"
        question="Delete it? Its videos remain in the library."
        act=${async () => {
          setFailed("");
          try {
            await request("DELETE", path);
            location.hash = "#/storyboard";
          } catch (error) {
            setFailed(sentence(error));
          }
        }}
      />
    </div>`;
}

/**
 * The project as it was read now, with the signed URLs of before for the same jobs: another URL
 * would load the same video again.
 * @param {Project | null} before
 * @param {Project} now
 * @returns {Project}
 */
function keptUrls(before, now) {
  const known = new Map((before?.scenes ?? []).map((one) => [one.scene_id, one]));
  const scenes = now.scenes.map((one) => {
    const old = known.get(one.scene_id);
    const same = old && old.job_id === one.job_id && old.video_url && one.video_url;
    return same ? { ...one, video_url: old.video_url, thumbnail_url: old.thumbnail_url } : one;
  });
  return { ...now, scenes };
}
