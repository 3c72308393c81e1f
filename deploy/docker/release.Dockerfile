# The image of a release, around a binary that `make dist` built: no shell, no package manager, not root.
#
#   make dist
#   docker buildx build --platform linux/amd64,linux/arm64 -f deploy/docker/release.Dockerfile -t pgq-host target/packages/image
#
# Without buildx, one machine's: docker build --build-arg TARGETARCH=amd64 -f ...

# Any image with glibc 2.28 or later, and the authorities behind PGSSLMODE=verify-full.
ARG BASE_IMAGE=gcr.io/distroless/base-debian12
FROM ${BASE_IMAGE}
ARG TARGETARCH
COPY ${TARGETARCH}/ /
# Compiled code is only loaded from a folder that is the user's own: the host makes one in here.
COPY --chown=10001:10001 empty/ /var/cache/pgq-host/
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
HEALTHCHECK --interval=15s --timeout=12s --start-period=60s --retries=3 CMD ["/usr/bin/pgq-host", "probe", "--plugins"]
ENTRYPOINT ["/usr/bin/pgq-host"]
CMD ["run"]
