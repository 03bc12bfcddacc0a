// The vendored script of oidc-client-ts makes this name; index.html loads it before the modules.
declare const oidc: typeof import("oidc-client-ts");
