"""Programs for the owner: `make preflight` before a deployment, `make smoke` after it.

They use public AWS APIs, with the owner's credentials, and the HTTP API. No function contains them.
`operations.installation` reads what is deployed.
"""
