"""One script a peer, each to be run by an interpreter that has that peer; `worker.py` says what they share.

None of them is imported by the project, and but for `dragoman.py` none of them imports it.
"""
