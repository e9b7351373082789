# cache-mount, as Docker's guide for Rust has it: sources bind-mounted, cache mounts for the registry
# and for target, the binaries copied out.
ARG RUST_IMAGE
ARG RUNTIME_IMAGE

FROM ${RUST_IMAGE} AS build
ENV CARGO_HOME=/cargo
WORKDIR /app
ARG COLD
RUN --mount=type=bind,target=/app \
    --mount=type=cache,id={{ cache_id }}-target,target=/target \
    --mount=type=cache,id={{ cache_id }}-git,target=/cargo/git/db \
    --mount=type=cache,id={{ cache_id }}-registry,target=/cargo/registry \
    {{ cargo_settings }} \
    sh /tools/with-host-settings cargo build --locked --release --target-dir /target && \
    mkdir -p /bin/built && cp {{ built_binaries }} /bin/built/

FROM ${RUNTIME_IMAGE} AS final
ARG SERVICE
COPY --from=build /bin/built/${SERVICE} /usr/local/bin/service
ENTRYPOINT ["/usr/local/bin/service"]
