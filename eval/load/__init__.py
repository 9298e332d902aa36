"""How many answers a second one server gives to 1, 10, 40 and 200 who ask at once, how soon, and in how much memory.

`python -m eval.load --data FOLDER` makes an index of published articles, serves it, and prints a table.
"""
