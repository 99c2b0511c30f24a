# The image of queuepost: one static binary and the authorities TLS trusts. No shell, no package manager, no root.
#
#   docker build -t REGISTRY/queuepost:0.1.0 --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#
#   docker run --read-only --cap-drop ALL --stop-timeout 85 REGISTRY/queuepost:0.1.0 run --queue … --url …
#
# Docker kills after ten seconds unless told otherwise; with time-outs of 60 s a drain takes up to 75 s.
#
# With `--build-arg BINARY=prebuilt` nothing is compiled: the binary is taken from target/image, where
# `deploy/image/prebuilt` puts it. The final stage is the same for both.
#
# The builder's image is pinned by its version; pin it by its digest too (`rust:1.95.0-slim-bookworm@sha256:…`) where
# images are built for production: a tag can be moved.
ARG BINARY=compiled

FROM rust:1.95.0-slim-bookworm AS compiled
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates musl-tools \
 && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY . .
ARG REVISION=unknown
# The toolchain of the image, without the components that rust-toolchain.toml wants for development.
ENV RUSTUP_TOOLCHAIN=1.95.0 QUEUEPOST_REVISION=$REVISION
RUN mkdir -p /out/etc/ssl/certs \
 && cp "$(deploy/image/build)" /out/queuepost \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM scratch AS prebuilt
COPY target/image/ /out/

FROM ${BINARY} AS binary

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="queuepost" \
      org.opencontainers.image.description="Event-listener bridge: worker pools consume Amazon SQS queues and POST each message to an HTTP endpoint" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
COPY --from=binary /out/ /
# Nobody in particular, by number: Kubernetes can tell that it is not root.
USER 65532:65532
# Probes and scrapes come from outside of the container. `healthcheck` reads the same variable.
ENV QUEUEPOST_ADMIN_LISTEN=0.0.0.0:9464
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s CMD ["/queuepost", "healthcheck"]
ENTRYPOINT ["/queuepost"]
CMD ["run"]
