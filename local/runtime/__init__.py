"""The code that runs inside a local Lambda worker, next to the handler: standard library only.

Nothing here is importable by a handler: the files are started by path.
"""
