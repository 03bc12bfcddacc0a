"""`make demo`: paid videos, made on this machine from request to bucket, and one that fails.

The demo acts as an app. It starts a local stack, grants a user credits, and from then on uses only
HTTP: it asks for prices, starts the generations, polls when ``Retry-After`` allows it, and
downloads the results. Then it inspects the stack (journal, bucket, execution history, requests to
the provider) and checks every figure it prints. The exit code is 0 only if all of them are right.

It has five acts, one per module. `act` has what they share: a user, and what must be true of the
user's jobs, files and account. With ``--provider all`` one act sends the same order to every
provider at once; its last order has a model with a second provider, while the first one is down.
"""
