# The image of queuepost: one static binary, the list of its parts (CycloneDX) and the authorities TLS trusts. No shell, no package
# manager, no root.
#
#   docker build -t REGISTRY/queuepost:0.1.0 --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#
#   docker run --read-only --cap-drop ALL --stop-timeout 85 REGISTRY/queuepost:0.1.0 run --queue … --url …
#
# Docker kills after ten seconds unless told otherwise; with time-outs of 60 s a drain takes up to 75 s.
#
# `--build-arg FEATURES=otlp` adds traces. Both processors: `docker buildx build --platform linux/amd64,linux/arm64 …`, where the
# compiler runs on the builder's own, without emulation. deploy/image/Dockerfile compiles nothing: it takes a binary that is there.
#
# The classic builder and kaniko take this file as BuildKit does, and so it has no cache mounts, which these refuse; instead the
# dependencies are a layer of their own, compiled again only when Cargo.toml or Cargo.lock changes. With BuildKit
# `deploy/image/with-caches | docker build -f - .` adds the mounts. The other two do not say on what they run: on arm64 tell them by
# `--build-arg NATIVE=linux/arm64`.
#
# The builder's image is pinned by its version; pin it by its digest too (`rust:1.95.0-slim-bookworm@sha256:…`) where
# images are built for production: a tag can be moved.
ARG NATIVE=linux/amd64

FROM --platform=${BUILDPLATFORM:-${NATIVE}} rust:1.95.0-slim-bookworm AS compiled
WORKDIR /src
# amd64 or arm64, which only BuildKit says. Empty: as the builder.
ARG TARGETARCH
# The toolchain of the image, without the components that rust-toolchain.toml wants for development.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY deploy/image/toolchain ./deploy/image/
RUN deploy/image/toolchain
ARG FEATURES=
ENV FEATURES=$FEATURES
# The dependencies, with an empty program in the place of ours.
COPY Cargo.toml Cargo.lock ./
COPY deploy/image ./deploy/image
RUN deploy/image/build --dependencies
COPY . .
ARG REVISION=unknown
ENV QUEUEPOST_REVISION=$REVISION
# Copied files keep their times, which may be before the empty program's.
RUN touch src/main.rs src/lib.rs \
 && mkdir -p /out/etc/ssl/certs \
 && cp "$(deploy/image/build)" /out/queuepost \
 && python3 deploy/image/sbom >/out/queuepost.cdx.json \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM scratch
COPY --from=compiled /out/ /
# What follows is the same in deploy/image/Dockerfile.
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="queuepost" \
      org.opencontainers.image.description="Event-listener bridge: worker pools consume Amazon SQS queues and POST each message to an HTTP endpoint" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
# Nobody in particular, by number: Kubernetes can tell that it is not root.
USER 65532:65532
# Probes and scrapes come from outside of the container. `healthcheck` reads the same variable.
ENV QUEUEPOST_ADMIN_LISTEN=0.0.0.0:9464
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s CMD ["/queuepost", "healthcheck"]
ENTRYPOINT ["/queuepost"]
CMD ["run"]
