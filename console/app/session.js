// Sign-in at the owner's issuer: authorization code with PKCE, by oidc-client-ts. Tokens are kept in
// the session storage of the tab, so another tab signs in again (the issuer remembers the user).

/**
 * @typedef {object} Config
 * @property {string} api_url
 * @property {string} issuer
 * @property {string} client_id
 * @property {string} scope
 * @property {string} [audience] what some issuers need to make an access token for the API
 * @property {string} [sign_out_url] the issuer's page that ends its own session
 * @property {{client_id: string, scope: string, key: boolean}} [operator] how operators sign in;
 *   `key`: with the secret of that client
 */

const OPERATOR = "operator";
const ADMIN_SCOPE = "clipmint/admin";

/** @type {import("oidc-client-ts").UserManager} */
let manager;
/** @type {Config} */
let config;
/** @type {import("oidc-client-ts").User | null} */
let user = null;
/** @type {Promise<boolean> | null} */
let renewing = null;
/** @type {() => void} */
let ended = () => {};

/**
 * Reads config.json, and completes a sign-in that comes back from the issuer.
 * @param {() => void} whenEnded is called when the session cannot be renewed
 * @returns {Promise<{signedIn: boolean, problem: string}>}
 */
export async function start(whenEnded) {
  ended = whenEnded;
  const answer = await fetch("config.json", { cache: "no-cache" });
  if (!answer.ok) throw new Error("config.json is missing");
  config = await answer.json();
  manager = managerOf(sessionStorage.getItem(OPERATOR) ? config.operator : undefined, "");
  const query = new URLSearchParams(location.search);
  if (query.has("state") && (query.has("code") || query.has("error"))) {
    const page = sessionStorage.getItem("page") || "";
    let problem = "";
    try {
      user = await manager.signinRedirectCallback();
    } catch {
      problem = "The sign-in was not completed. Try again.";
    }
    history.replaceState(null, "", location.pathname + page);
    return { signedIn: user !== null, problem };
  }
  user = await manager.getUser();
  // Without a connection the user stays signed in: the first request renews the token.
  if (user && user.expired) await renew().catch(() => {});
  return { signedIn: user !== null, problem: "" };
}

/**
 * @param {Config["operator"]} operator how to sign in as an operator; as a user if there is none
 * @param {string} key
 */
function managerOf(operator, key) {
  const here = new URL(".", location.href).href;
  return new oidc.UserManager({
    authority: config.issuer,
    client_id: config.client_id,
    redirect_uri: here,
    post_logout_redirect_uri: here,
    scope: config.scope,
    response_type: "code",
    automaticSilentRenew: false,
    monitorSession: false,
    loadUserInfo: false,
    userStore: new oidc.WebStorageStateStore({ store: sessionStorage }),
    stateStore: new oidc.WebStorageStateStore({ store: sessionStorage }),
    ...(config.audience ? { extraQueryParams: { audience: config.audience } } : {}),
    ...(operator ? { client_id: operator.client_id, scope: operator.scope } : {}),
    // Until the code is exchanged. A session with a key is not renewed: the key is not kept.
    ...(key ? { client_secret: key } : {}),
  });
}

/** Whether operators sign in here, and whether they need a key for it. */
export const operatorSignIn = () => config?.operator;

/**
 * Goes to the issuer's page, which comes back to the page that is shown now.
 * @param {{operator?: boolean, key?: string}} [how]
 */
export async function signIn({ operator = false, key = "" } = {}) {
  sessionStorage.setItem("page", location.hash);
  if (operator) sessionStorage.setItem(OPERATOR, "yes");
  else sessionStorage.removeItem(OPERATOR);
  manager = managerOf(operator ? config.operator : undefined, key);
  await manager.signinRedirect();
}

/** Whether the token has the scope of an operator. The API decides by the same scope. */
export function isOperator() {
  try {
    const [, claims = ""] = token().split(".");
    const { scope, scp } = JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
    return [scope ?? scp ?? ""].flat().join(" ").split(" ").includes(ADMIN_SCOPE);
  } catch {
    return false;
  }
}

/** Forgets the tokens here, and ends the session at the issuer if it has a page for that. */
export async function signOut() {
  await manager.removeUser();
  user = null;
  sessionStorage.clear();
  if (config.sign_out_url) {
    location.assign(config.sign_out_url);
    return;
  }
  const metadata = await manager.metadataService.getMetadata();
  if (metadata.end_session_endpoint) await manager.signoutRedirect();
  else location.assign(location.pathname);
}

export const apiUrl = () => config.api_url;
export const token = () => user?.access_token ?? "";

/** The name to show: from the ID token, else the user's id. */
export function userName() {
  const profile = user?.profile;
  return String(profile?.email || profile?.name || profile?.preferred_username || profile?.sub || "");
}

/**
 * Gets a new token with the refresh token, once for all requests that wait for it. The session ends
 * only if there is no refresh token, or if the issuer refuses it. Any other failure is raised, such
 * as that of the connection.
 * @returns {Promise<boolean>}
 */
export function renew() {
  renewing ??= (async () => {
    try {
      const stored = await manager.getUser();
      user = stored?.refresh_token ? await manager.signinSilent() : null;
    } catch (error) {
      // invalid_client: the session of an operator whose key is not kept.
      const refused = error instanceof oidc.ErrorResponse && ["invalid_grant", "invalid_client"].includes(error.error ?? "");
      if (!refused) throw error;
      user = null;
    }
    if (!user) {
      await manager.removeUser();
      ended();
    }
    return user !== null;
  })().finally(() => {
    renewing = null;
  });
  return renewing;
}
