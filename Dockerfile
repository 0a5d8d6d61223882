# Two images: `docker build --target serve .` (no torch) and `docker build --target refit .` (torch with CUDA).
# What is installed is the Makefile's business; a test keeps it so.

FROM python:3.11 AS source
WORKDIR /data
WORKDIR /proxima
COPY . .

FROM source AS built-serve
RUN make install-serve

FROM source AS built-refit
RUN make install-refit

FROM python:3.11-slim AS base
ENV PATH=/proxima/.venv/bin:$PATH \
    PROXIMA_HOST=0.0.0.0 \
    PROXIMA_ARTIFACT_DIR=/data/artifacts \
    PROXIMA_DATABASE_URL=sqlite+aiosqlite:////data/proxima.db
COPY --from=source --chown=10001:10001 /data /data
WORKDIR /data
VOLUME /data
USER 10001:10001

# torch's wheels bring CUDA; the host brings the driver (`docker run --gpus all`).
FROM base AS refit
COPY --from=built-refit /proxima /proxima
ENV PROXIMA_DEVICE=auto
ENTRYPOINT ["proxima"]
CMD ["refit"]

# Last, so that a build without a target makes what serves.
FROM base AS serve
COPY --from=built-serve /proxima /proxima
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["proxima", "serve"]
