"""How well the verifier tells what a passage bears out from what it does not.

`python -m eval.verify --data FOLDER`: translated sentences and what is made of them (a number changed, a name swapped,
a negation, another sentence), and answers that people have judged.
"""
