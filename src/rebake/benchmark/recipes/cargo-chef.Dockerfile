# cargo-chef, in the four stages of its README. The stage `chef` stands in for its prebuilt image.
ARG RUST_IMAGE
ARG RUNTIME_IMAGE

FROM ${RUST_IMAGE} AS chef
ENV CARGO_HOME=/cargo
RUN {{ cargo_settings }} \
    sh /tools/with-host-settings cargo install cargo-chef --locked --root /usr/local
WORKDIR /app

FROM chef AS planner
ARG COLD
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS builder
ARG COLD
COPY --from=planner /app/recipe.json recipe.json
RUN {{ cargo_settings }} \
    sh /tools/with-host-settings cargo chef cook --release --recipe-path recipe.json
COPY . .
RUN {{ cargo_settings }} \
    sh /tools/with-host-settings cargo build --release

FROM ${RUNTIME_IMAGE} AS runtime
ARG SERVICE
WORKDIR /app
COPY --from=builder /app/target/release/${SERVICE} /usr/local/bin/service
ENTRYPOINT ["/usr/local/bin/service"]
