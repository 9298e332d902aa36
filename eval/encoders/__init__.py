"""What an encoder finds, without anything else of the product: any encoder, one table.

`python -m eval.encoders embedded NAME... --data FOLDER` measures passage retrieval for every
pair of languages (XQuAD), translation retrieval (FLORES), Korean passages (Belebele) and speed.
"""
