# dummy-main: the dependencies are compiled with sources that say nothing, as a layer; the real
# sources come after it. The older form of what cargo-chef does.
ARG RUST_IMAGE
ARG RUNTIME_IMAGE

FROM ${RUST_IMAGE} AS builder
ENV CARGO_HOME=/cargo
WORKDIR /app
ARG COLD
COPY Cargo.toml Cargo.lock ./
{% for name in configuration %}
COPY {{ name }} {{ name }}
{% endfor %}
{% for crate in crates %}
COPY {{ crate.manifest }} {{ crate.manifest }}
{% endfor %}
RUN {{ dummies }}
RUN {{ cargo_settings }} \
    sh /tools/with-host-settings cargo build --release
COPY . .
# cargo goes by times, and those of the sources are older than what was just built.
RUN {{ cargo_settings }} \
    find . -name '*.rs' -not -path './target/*' -exec touch {} + && \
    sh /tools/with-host-settings cargo build --release

FROM ${RUNTIME_IMAGE}
ARG SERVICE
COPY --from=builder /app/target/release/${SERVICE} /usr/local/bin/service
ENTRYPOINT ["/usr/local/bin/service"]
