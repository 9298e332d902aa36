# The whole product: no download at run time, no GPU. Build: docker build -t dragoman .
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY rag rag
COPY index index
COPY eval eval
COPY ui ui
RUN python -m venv /opt/dragoman \
 && /opt/dragoman/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt .

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
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=3)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["dragoman"]
CMD ["serve", "--host", "0.0.0.0"]
