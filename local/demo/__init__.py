"""`make demo`: paid videos, made on this machine from request to bucket, and one that fails.

The demo acts as an app. It starts a local stack, grants a user credits, and from then on uses only
HTTP: it asks for prices, starts the generations, polls when ``Retry-After`` allows it, and
downloads the results. Then it inspects the stack (journal, bucket, execution history, requests to
the provider) and checks every figure it prints. The exit code is 0 only if all of them are right.

The second act uploads images, and makes videos of a project's image, frame pairs and scene.

With ``--provider all`` the same order goes to every provider at once. The last order has a model
with a second provider, while its first one is down.
"""
