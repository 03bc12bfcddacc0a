"""`make demo`: paid videos, made on this machine from request to bucket, and one that fails.

It plays an app. It starts a local stack, buys a user credits, and from then on only speaks HTTP: it
asks for prices, starts the generations, polls as often as the API says, and downloads what came
out. Then it looks behind the scenes (journal, bucket, execution history, what the provider was
asked) and checks every figure it prints; the exit code is 0 only if all of them are right.

In a second act pictures are uploaded, and a project's image, frame pairs and scene become videos.

With ``--provider all`` the same wish goes to every provider at once, and then to one that is down.
"""
