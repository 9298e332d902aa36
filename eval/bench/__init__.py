"""Every benchmark in one run: speed, memory and disk, with the commit and the machine.

`python -m eval.bench --data FOLDER` runs them one after the other; `make bench` does so on sentences of the sample
articles.
"""
