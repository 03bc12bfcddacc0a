// The official package of Standard Webhooks for Node verifies calls that we have signed. Its one
// argument is JSON: secret, calls ([{headers, body}]). It prints for each call whether it is genuine.

import { Webhook, WebhookVerificationError } from "standardwebhooks";

const given = JSON.parse(process.argv[2]!);
const webhook = new Webhook(given.secret);
const found: boolean[] = [];
for (const call of given.calls) {
  try {
    webhook.verify(call.body, call.headers);
    found.push(true);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    found.push(false);
  }
}
console.log(JSON.stringify(found));
