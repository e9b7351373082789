# naive: copy everything, build everything. Every edit begins from nothing.
ARG RUST_IMAGE
ARG RUNTIME_IMAGE

FROM ${RUST_IMAGE} AS builder
ENV CARGO_HOME=/cargo
WORKDIR /app
ARG COLD
COPY . .
RUN {{ cargo_settings }} \
    sh /tools/with-host-settings cargo build --release

FROM ${RUNTIME_IMAGE}
ARG SERVICE
COPY --from=builder /app/target/release/${SERVICE} /usr/local/bin/service
ENTRYPOINT ["/usr/local/bin/service"]
