"""The same questions put to Dragoman and its peers (LangChain, txtai, LlamaIndex, Haystack): what they find, how fast.

`python -m eval.peers --data FOLDER --python PEERS-VENV/bin/python` prints the tables; with `--corpus FILE --gold FILE`
they are of your own articles. Each peer runs in processes of its own (`workers/`), and none is imported here.
"""
