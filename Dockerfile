# pgq-host in a container, two images of one file:
#
#   docker build -t pgq-host .                                     the host; plugins are mounted at /plugins
#   docker build -t pgq-host:examples --target examples .          with the example plugins in it, compiled
#
# Your own plugins in an image: deploy/docker/plugins.Dockerfile. It needs BuildKit (DOCKER_BUILDKIT=1 before Docker 23).

ARG RUST_IMAGE=rust:1.95-bookworm
# Any image with glibc 2.36 or later and apt.
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS source
WORKDIR /src
COPY . .

FROM source AS build
# What --version says after the +, since .git is not sent here: --build-arg PGQ_HOST_REVISION=$(git rev-parse HEAD)
ARG PGQ_HOST_REVISION
# Both mounts are the builder's own: the next build compiles what changed, and no image holds them.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release -p pgq-host \
    && install -D target/release/pgq-host /out/pgq-host \
    && strip /out/pgq-host

FROM source AS plugins
RUN test -d "$(rustc --print target-libdir --target wasm32-wasip2)" || rustup target add wasm32-wasip2
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cd plugins-example \
    && cargo build --locked --release --target wasm32-wasip2 --target-dir ../target/plugins \
    && install -D -m 644 -t /out ../target/plugins/wasm32-wasip2/release/*.wasm

FROM ${BASE_IMAGE} AS host
# The authorities behind PGSSLMODE=verify-full; the rest of what a host needs is in the binary, time zones too.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
# Compiled code is only loaded from a folder that is the user's own, and closed to others.
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pgq \
    && install -d -o pgq -g pgq -m 700 /var/cache/pgq-host && install -d /plugins /etc/pgq-host
COPY --from=build /out/pgq-host /usr/local/bin/
ENV PGQ_HOST_PLUGINS=/plugins \
    PGQ_HOST_CACHE_DIR=/var/cache/pgq-host/code \
    PGQ_HOST_LISTEN=0.0.0.0:9464
# pgq-host.toml is read from here, where there is one.
WORKDIR /etc/pgq-host
USER 10001:10001
EXPOSE 9464
# The drain begins; see --drain-timeout, and give the container 15 s more than that to stop.
STOPSIGNAL SIGTERM
# Alive, and with its plugins, but not ready: a restart does not bring a database back.
HEALTHCHECK --interval=15s --timeout=12s --start-period=60s --retries=3 CMD ["pgq-host", "probe", "--plugins"]
ENTRYPOINT ["pgq-host"]
CMD ["run"]

FROM host AS examples
COPY --from=plugins /out/ /plugins/
# The build fails where a host would refuse a plugin, and a container starts without compiling.
RUN pgq-host plugin inspect --compile /plugins/*.wasm

# What is built without --target.
FROM host
