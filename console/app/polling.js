// Repeats a read while something runs and the tab is visible.
import { useEffect, useRef } from "./html.js";

/**
 * How often to read, after so many milliseconds of polling; null: no more.
 * @typedef {(passed: number) => number | null} Pace
 */

/** Of what runs: every two seconds, and after a minute every five. @type {Pace} */
const RUNNING = (passed) => (passed < 60_000 ? 2_000 : 5_000);

/** Of what may change without this page: every ten seconds, for ten minutes. @type {Pace} */
export const WAITING = (passed) => (passed < 600_000 ? 10_000 : null);

/**
 * Calls `read` at a pace while `active`. In a hidden tab it stops; when the tab is shown again, it
 * reads at once and begins anew.
 * @param {() => Promise<unknown>} read
 * @param {boolean} active
 * @param {Pace} [pace]
 */
export function usePolling(read, active, pace = RUNNING) {
  const current = useRef(read);
  current.current = read;
  useEffect(() => {
    if (!active) return undefined;
    let started = Date.now();
    let timer = 0;
    let stopped = false;
    const next = () => {
      clearTimeout(timer);
      if (stopped || document.hidden) return;
      const wait = pace(Date.now() - started);
      if (wait !== null) timer = setTimeout(run, wait);
    };
    const run = async () => {
      clearTimeout(timer);
      if (stopped || document.hidden) return;
      await current.current().catch(() => {});
      next();
    };
    const changed = () => {
      if (document.hidden) return clearTimeout(timer);
      started = Date.now();
      void run();
    };
    document.addEventListener("visibilitychange", changed);
    next();
    return () => {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", changed);
    };
  }, [active]);
}
