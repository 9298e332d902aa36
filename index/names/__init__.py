"""Names across scripts: what else a name in a question is called in the articles."""
