"""One FastAPI application with several interfaces; none has logic of its own, all read the events of one chain."""
