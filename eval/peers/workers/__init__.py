"""One script a library, run by an interpreter that has it; `worker.py` says what each one defines."""
