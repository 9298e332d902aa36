# The whole product: no download at run time, no GPU. Build: docker build -t dragoman .
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY rag rag
COPY index index
COPY eval eval
COPY ui ui
# As a variable the constraints hold for what builds the package, too.
RUN python -m venv /opt/dragoman \
 && PIP_CONSTRAINT=/src/constraints.txt /opt/dragoman/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.11-slim
COPY --from=build /opt/dragoman /opt/dragoman
RUN useradd --system --uid 10001 --no-create-home --home-dir /data dragoman \
 && install -d -o 10001 -g 10001 -m 0750 /data
ENV PATH=/opt/dragoman/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_TEMP_DIR=/tmp/gradio \
    DRAGOMAN_INDEX=/data/index
# dragoman.toml, where there is one, is read from here.
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 7860
# With allowed_hosts it answers 421 to this name, which is an answer, too.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 7860, timeout=3); c.request('GET', '/healthz'); exit(c.getresponse().status >= 500)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["dragoman"]
CMD ["serve", "--host", "0.0.0.0"]
