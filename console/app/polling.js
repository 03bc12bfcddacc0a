// Repeats a read while something runs and the tab is visible.
import { useEffect, useRef } from "./html.js";

const FIRST_MINUTE_MS = 2_000;
const LATER_MS = 5_000;

/**
 * Calls `read` every two seconds, and every five after a minute, while `active`. In a hidden tab it
 * stops; when the tab is shown again, it reads at once.
 * @param {() => Promise<unknown>} read
 * @param {boolean} active
 */
export function usePolling(read, active) {
  const current = useRef(read);
  current.current = read;
  useEffect(() => {
    if (!active) return undefined;
    const started = Date.now();
    let timer = 0;
    let stopped = false;
    const next = () => {
      clearTimeout(timer);
      if (stopped || document.hidden) return;
      timer = setTimeout(run, Date.now() - started < 60_000 ? FIRST_MINUTE_MS : LATER_MS);
    };
    const run = async () => {
      clearTimeout(timer);
      if (stopped || document.hidden) return;
      await current.current().catch(() => {});
      next();
    };
    const changed = () => (document.hidden ? clearTimeout(timer) : void run());
    document.addEventListener("visibilitychange", changed);
    next();
    return () => {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", changed);
    };
  }, [active]);
}
