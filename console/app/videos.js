// The user's jobs, newest first, as a list that grows page by page and is read again while one runs.
import { request, sentence } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";
import { usePolling } from "./polling.js";

/** @typedef {import("./api.js").Video} Video */

const PAGE = 24;
const URL_MINUTES = 50;

/** @param {{status: string}} job */
export const runs = (job) => job.status === "pending" || job.status === "processing";

/**
 * A newly read job, with the signed URLs of the one before while they are valid: another URL would
 * load the same thumbnail again. Unchanged jobs stay the same objects.
 * @param {Video | undefined} before
 * @param {Video} now
 * @param {Map<string, number>} readAt when the URLs of a job were read
 */
function merged(before, now, readAt) {
  const age = Date.now() - (readAt.get(now.job_id) ?? 0);
  if (!before || before.video_url === null || now.video_url === null || age > URL_MINUTES * 60_000) {
    readAt.set(now.job_id, Date.now());
    return now;
  }
  const kept = { ...now, video_url: before.video_url, thumbnail_url: before.thumbnail_url };
  return JSON.stringify(kept) === JSON.stringify(before) ? before : kept;
}

/**
 * @param {{status?: string, only?: (video: Video) => boolean}} [filter]
 */
export function useVideos({ status = "" } = {}) {
  const [videos, setVideos] = useState(/** @type {Video[]} */ ([]));
  const [state, setState] = useState(/** @type {"loading" | "ready" | "failed"} */ ("loading"));
  const [problem, setProblem] = useState("");
  const [cursor, setCursor] = useState(/** @type {string | null} */ (null));
  const readAt = useRef(/** @type {Map<string, number>} */ (new Map()));
  const shown = useRef(/** @type {Video[]} */ ([]));
  const round = useRef(0);
  shown.current = videos;

  const query = (/** @type {string | null} */ from) =>
    `/v1/videos?limit=${PAGE}${status ? `&status=${status}` : ""}` +
    (from ? `&cursor=${encodeURIComponent(from)}` : "");

  const load = useCallback(async () => {
    round.current += 1;
    const mine = round.current;
    setState("loading");
    try {
      const page = await request("GET", query(null));
      if (mine !== round.current) return;
      setVideos(page.videos.map((/** @type {Video} */ one) => merged(undefined, one, readAt.current)));
      setCursor(page.cursor);
      setState("ready");
    } catch (error) {
      if (mine !== round.current) return;
      setProblem(sentence(error));
      setState("failed");
    }
  }, [status]);

  const loadMore = useCallback(async () => {
    if (!cursor) return;
    const mine = round.current;
    const page = await request("GET", query(cursor));
    if (mine !== round.current) return;
    setVideos((old) => {
      const known = new Set(old.map((one) => one.job_id));
      return [...old, ...page.videos.filter((/** @type {Video} */ one) => !known.has(one.job_id))];
    });
    setCursor(page.cursor);
  }, [status, cursor]);

  /** Reads the newest page, and single jobs that run and are not on it. */
  const refresh = useCallback(async () => {
    const mine = round.current;
    const page = await request("GET", query(null));
    /** @type {Map<string, Video>} */
    const read = new Map(page.videos.map((/** @type {Video} */ one) => [one.job_id, one]));
    const older = shown.current.filter((one) => runs(one) && !read.has(one.job_id));
    for (const one of older) {
      const found = await request("GET", `/v1/videos/${one.job_id}`).catch(() => null);
      if (found) read.set(found.job_id, found);
    }
    if (mine !== round.current) return;
    setVideos((old) => {
      const known = new Map(old.map((one) => [one.job_id, one]));
      const fresh = page.videos.filter((/** @type {Video} */ one) => !known.has(one.job_id));
      const all = [...fresh, ...old.map((one) => read.get(one.job_id) ?? one)];
      const next = all.map((one) => merged(known.get(one.job_id), one, readAt.current));
      const same = next.length === old.length && next.every((one, index) => one === old[index]);
      return same ? old : next;
    });
  }, [status]);

  const forget = (/** @type {string} */ jobId) =>
    setVideos((old) => old.filter((one) => one.job_id !== jobId));

  useEffect(() => {
    setVideos([]);
    void load();
  }, [load]);
  usePolling(refresh, state === "ready" && videos.some(runs));

  return { videos, state, problem, more: cursor !== null, load, loadMore, refresh, forget };
}
