# The embedded service in a container: docs/embedded-service.md, "In a container".
#   docker build -t tunedmodels .
FROM python:3.13.9-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN pip install uv==0.9.5 && uv venv /opt/tunedmodels
WORKDIR /source
# Dependencies come first, because they change rarely. The lock file also has development packages, so
# it is used as constraints.
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
# Requests from outside the container require keys. The file can be mounted read-only with any owner if
# it contains only digests.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8787/healthz', timeout=4)"]
ENTRYPOINT ["tunedmodels"]
CMD ["serve", "--host", "0.0.0.0", "--store", "/var/lib/tunedmodels", "--keys", "/etc/tunedmodels/keys.yaml", "--access-log", "-"]
