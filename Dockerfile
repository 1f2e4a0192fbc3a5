# The embedded service in a container: docs/embedded-service.md, "In a container".
#   docker build -t tunedmodels .
FROM python:3.13.9-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN pip install uv==0.9.5 && uv venv /opt/tunedmodels
WORKDIR /source
# What changes rarely comes first. The lock holds far more than is needed here, so it constrains.
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN uv pip install --no-cache --python /opt/tunedmodels --constraints requirements.lock -r pyproject.toml
COPY tunedmodels ./tunedmodels
RUN uv pip install --no-cache --python /opt/tunedmodels --no-deps --build-constraints requirements.lock .

FROM python:3.13.9-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent tunedmodels \
    && install --directory --mode 0700 --owner tunedmodels --group tunedmodels /var/lib/tunedmodels
COPY --from=build /opt/tunedmodels /opt/tunedmodels
ENV PATH="/opt/tunedmodels/bin:$PATH" PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /var/lib/tunedmodels
EXPOSE 8787
# Answers from outside of the container need keys; the file holds digests, so it may be mounted as it is.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8787/healthz', timeout=4)"]
ENTRYPOINT ["tunedmodels"]
CMD ["serve", "--host", "0.0.0.0", "--store", "/var/lib/tunedmodels", "--keys", "/etc/tunedmodels/keys.yaml", "--access-log", "-"]
