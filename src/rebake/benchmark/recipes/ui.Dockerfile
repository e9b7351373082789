# The usual image of a UI: packages as a layer, then the sources.
ARG BUN_IMAGE
ARG RUNTIME_IMAGE

FROM ${BUN_IMAGE} AS build
USER root
WORKDIR /app
ARG COLD
COPY package.json bun.lock ./
RUN {{ bun_settings }} \
    sh /tools/with-host-settings bun install --frozen-lockfile
COPY . .
RUN bun run build

FROM ${RUNTIME_IMAGE}
COPY --from=build /app/dist /srv/www
