"""Dragoman beside other libraries: the same articles and gold questions, each system in a process of its own.

`python -m eval.peers [SUITE...] --python PATH` prints one table; PATH is an interpreter that has the libraries.
"""
