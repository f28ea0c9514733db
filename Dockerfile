# NORA as a container: a wheel built with a compiler, then an image without one.
#
#   docker build --tag nora .
#   docker run --publish 127.0.0.1:4000:4000 --volume nora:/data nora
#
# and for a network, with users:
#
#   docker run --publish 4000:4000 --volume nora:/data \
#       --volume ./users.htpasswd:/data/users.htpasswd --env NORA_AUTH_ENABLED=true nora
#
# Runs as any user id with a read-only root; only /data is written. Defaults are in /etc/nora/config.toml, which
# is the place to mount your own; NORA_* variables win over it.

# Any image with apt and Python 3.11 or newer among its packages.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev python3 python3-dev python3-venv
# For a mirror of PyPI, or wheels in the build context and no network at all.
ARG PIP_INDEX_URL
ARG PIP_CERT
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/nora
COPY . /src
# What is installed, and what builds the wheel, to the version: the second name is that of newer pips.
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_BUILD_CONSTRAINT=/src/constraints.txt
# Without the compiled modules the image is not worth building.
RUN NORA_REQUIRE_EXTENSIONS=1 /opt/build/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /src \
    && /opt/build/bin/pip --python /opt/nora/bin/python install --no-cache-dir /wheels/*.whl
RUN mkdir /etc/nora && printf '%s\n' '[storage]' 'path = "/data/storage"' \
    '[auth]' 'htpasswd_file = "/data/users.htpasswd"' > /etc/nora/config.toml

FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
    && useradd --uid 10001 --gid 0 --no-create-home --home-dir /data --shell /usr/sbin/nologin nora \
    && install --directory --owner=nora --group=0 --mode=2775 /data
COPY --from=build /opt/nora /opt/nora
COPY --from=build /etc/nora /etc/nora
# Inside a container the loopback is nobody's address. Everything else is in the file.
ENV NORA_HOST=0.0.0.0 PATH=/opt/nora/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /etc/nora
USER 10001
VOLUME /data
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["nora", "health"]
ENTRYPOINT ["nora"]
CMD ["serve"]
