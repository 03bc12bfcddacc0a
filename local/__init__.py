"""Everything needed to run Clipmint on one computer: no Docker, no AWS account.

`python -m local up` starts the stack, `local.stack.Stack` does the same from a test.
"""
