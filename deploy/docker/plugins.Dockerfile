# Your plugins, baked into an image with the host:
#
#   docker build -t jobs:7 -f deploy/docker/plugins.Dockerfile --build-arg HOST_IMAGE=pgq-host path/to/plugins
#
# They are compiled here, by the user that will run them, so that a container is ready in milliseconds; the build fails where a host would
# refuse one. A machine whose processor lacks what the builder's has compiles once more at its first start.
ARG HOST_IMAGE=pgq-host
FROM ${HOST_IMAGE}
COPY *.wasm /plugins/
# With grants: COPY pgq-host.toml /etc/pgq-host/
RUN pgq-host plugin inspect --compile /plugins/*.wasm
