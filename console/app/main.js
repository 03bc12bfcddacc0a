// The frame of all pages: sign-in, navigation, and the balance.
import { request } from "./api.js";
import { Create } from "./create.js";
import { Credits } from "./credits.js";
import { count } from "./format.js";
import { html, render, useCallback, useEffect, useRef, useState } from "./html.js";
import { Library } from "./library.js";
import { Failed, Loading } from "./parts.js";
import { Storyboard } from "./storyboard.js";
import { isOperator, operatorSignIn, signIn, signOut, start, userName } from "./session.js";

const PAGES = [
  { path: "create", name: "Create" },
  { path: "library", name: "Library" },
  { path: "storyboard", name: "Storyboard" },
  { path: "credits", name: "Credits" },
];

const ICON = new URL("icon.svg", import.meta.url).href;

const OPERATOR_PAGES = "operator";

/** The page and the id in the address: `#/library/5f2c…`. */
function place() {
  const [, page = "", id = ""] = location.hash.split("/");
  const known = PAGES.some((one) => one.path === page) || (page === OPERATOR_PAGES && isOperator());
  return { page: known ? page : "create", id: known ? decodeURIComponent(id) : "" };
}

function App() {
  const [session, setSession] = useState(/** @type {"starting" | "out" | "in" | "broken"} */ ("starting"));
  const [problem, setProblem] = useState("");
  useEffect(() => {
    start(() => {
      setProblem("Your session has ended. Sign in again.");
      setSession("out");
    }).then(
      (started) => {
        setProblem(started.problem);
        setSession(started.signedIn ? "in" : "out");
      },
      () => setSession("broken"),
    );
  }, []);
  if (session === "starting") return html`<p class="starting" role="status">Loading …</p>`;
  if (session === "in") return html`<${Frame} />`;
  return html`<${SignIn} problem=${problem} broken=${session === "broken"} />`;
}

/** @param {{problem: string, broken: boolean}} props */
function SignIn({ problem, broken }) {
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState(false);
  const [asked, setAsked] = useState(false);
  const [key, setKey] = useState("");
  const operator = broken ? undefined : operatorSignIn();
  const go = async (/** @type {{operator?: boolean, key?: string}} */ how) => {
    setBusy(true);
    setFailed(false);
    await signIn(how).catch(() => {
      setBusy(false);
      setFailed(true);
    });
  };
  return html`
    <main class="sign-in">
      <img src=${ICON} alt="" width="64" height="64" />
      <h1>Clipmint</h1>
      <p>Describe a video, and it is made for you. You pay only for videos that are ready.</p>
      ${broken
        ? html`<p class="alert" role="alert">This page is not set up yet. Load it again in a moment.</p>`
        : html`<button type="button" disabled=${busy} onClick=${() => go({})}>Sign in</button>`}
      ${operator && !asked
        ? html`<button
            class="quiet"
            type="button"
            disabled=${busy}
            onClick=${() => (operator.key ? setAsked(true) : go({ operator: true }))}
          >
            Sign in as an operator
          </button>`
        : operator &&
          html`<form
            onSubmit=${(/** @type {Event} */ event) => {
              event.preventDefault();
              void go({ operator: true, key: key.trim() });
            }}
          >
            <label for="key">Operator key</label>
            <input
              id="key"
              type="password"
              autocomplete="off"
              required
              value=${key}
              onInput=${(/** @type {any} */ event) => setKey(event.target.value)}
            />
            <button type="submit" disabled=${busy}>Sign in as an operator</button>
          </form>`}
      ${problem && html`<p class="alert" role="alert">${problem}</p>`}
      ${failed && html`<p class="alert" role="alert">The sign-in page cannot be reached. Try again.</p>`}
    </main>`;
}

function Frame() {
  const [at, setAt] = useState(place);
  const [balance, setBalance] = useState(/** @type {{available: number} | null} */ (null));
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const refreshBalance = useCallback(() => {
    request("GET", "/v1/credits").then(setBalance, () => {});
  }, []);
  useEffect(() => {
    const moved = () => setAt(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  const pages = isOperator() ? [...PAGES, { path: OPERATOR_PAGES, name: "Operator" }] : PAGES;
  const title = pages.find((one) => one.path === at.page)?.name ?? "";
  const first = useRef(true);
  useEffect(() => {
    document.title = `${title} · Clipmint`;
    refreshBalance();
    // After a change of the page, the keyboard and the screen reader continue in its content.
    if (!first.current) main.current?.focus();
    first.current = false;
    scrollTo(0, 0);
  }, [at.page]);

  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      main.current?.focus();
    }}>Skip to the content</a>
    <header class="bar">
      <a class="brand" href="#/create"><img src=${ICON} alt="" width="28" height="28" /> Clipmint</a>
      <nav aria-label="Pages">
        ${pages.map(
          (one) => html`<a
            href=${`#/${one.path}`}
            aria-current=${one.path === at.page ? "page" : undefined}
          >
            <${Icon} name=${one.path} />${one.name}
          </a>`,
        )}
      </nav>
      <div class="account">
        <a class="balance" href="#/credits" aria-label=${balance ? `${count(balance.available)} credits available` : "Credits"}>
          ${balance ? count(balance.available) : "…"} <small>credits</small>
        </a>
        <span class="user" title=${userName()}>${userName()}</span>
        <button class="quiet" type="button" onClick=${() => void signOut()}>Sign out</button>
      </div>
    </header>
    <main id="main" tabindex="-1" ref=${main}>
      ${at.page === "create" && html`<${Create} balance=${balance} refreshBalance=${refreshBalance} />`}
      ${at.page === "library" && html`<${Library} jobId=${at.id} refreshBalance=${refreshBalance} />`}
      ${at.page === "storyboard" && html`<${Storyboard} projectId=${at.id} refreshBalance=${refreshBalance} />`}
      ${at.page === "credits" && html`<${Credits} refreshBalance=${refreshBalance} />`}
      ${at.page === OPERATOR_PAGES && html`<${Operator} />`}
    </main>`;
}

/** The operator's pages, whose modules only operators load. */
function Operator() {
  const [Pages, setPages] = useState(/** @type {any} */ (null));
  const [failed, setFailed] = useState(false);
  const load = () => {
    setFailed(false);
    import("./operator/pages.js").then(
      (module) => setPages(() => module.Pages),
      () => setFailed(true),
    );
  };
  useEffect(load, []);
  if (failed) return html`<${Failed} problem="There is no connection." retry=${load} />`;
  return Pages ? html`<${Pages} />` : html`<${Loading} number=${3} kind="cards" />`;
}

/** @type {Record<string, string>} */
const DRAWINGS = {
  create: "M12 5v14M5 12h14",
  library: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  storyboard: "M4 6h16v5H4zM4 13h4v5H4zM10 13h4v5h-4zM16 13h4v5h-4z",
  operator: "M4 20V10M10 20V4M16 20v-8M21 20H3",
  credits: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v8M9.5 10h5M9.5 14h5",
};

/** @param {{name: string}} props */
const Icon = ({ name }) => html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d=${DRAWINGS[name]} /></svg>`;

const root = document.getElementById("app");
if (root) {
  root.textContent = "";
  render(html`<${App} />`, root);
}
