// The production images: `docker buildx bake -f docker/docker-bake.hcl` from the project's root.
// `invoke build` uses this very file.

variable "PROJECT" {
  description = "Prefix of the image names"
  default     = "rebake-app"
}

variable "CACHE_ID" {
  description = "Prefix of the cache mounts: one for each repository"
  default     = "rebake-app"
}

variable "TAG" {
  default = "prod"
}

variable "RUST_IMAGE" {
  default = "rust:1.97-slim-trixie"
}

variable "BUN_IMAGE" {
  default = "oven/bun:1.4.5-slim"
}

variable "NODE_IMAGE" {
  default = "node:24.21.0-slim"
}

variable "UI_MANAGER" {
  description = "What installs the UI's packages: bun, or npm from NODE_IMAGE"
  default     = "bun"
}

variable "UI_RUNTIME" {
  description = "What takes the UI's connections: web, or nginx from NGINX_IMAGE in front of it"
  default     = "web"
}

variable "NGINX_IMAGE" {
  default = "debian:13-slim"
}

variable "REBUILD" {
  description = "Any new text makes the compiling steps run again; the cache mounts stay warm"
  default     = ""
}

variable "REBAKE_BACKEND_CONTEXT" {
  description = "The backend's folder, or a link to it: BuildKit then takes all files anew"
  default     = "backend"
}

variable "REBAKE_UI_CONTEXT" {
  default = "ui"
}

variable "SEED" {
  description = "What an empty cache mount is filled from: none, or deps (the dependency layer)"
  default     = "none"
}

variable "COMPILER_CACHE" {
  description = "none, or sccache: a cache of single compilations for cold mounts"
  default     = "none"
}

variable "BACKEND_NETWORK" {
  description = "online, or offline: whether the compiling step gets a network"
  default     = "online"
}

variable "UI_NETWORK" {
  description = "The same for the step that bundles the UI"
  default     = "online"
}

variable "BACKEND_BUILD_ID" {
  description = "The id that the backend's sources must have; empty: whatever they are"
  default     = ""
}

variable "UI_BUILD_ID" {
  description = "The same for the UI's sources"
  default     = ""
}

// A service's own part of the backend's sources: an edit of another one leaves its image as it is.
variable "SERVICE_BUILD_IDS" {
  description = "For each service `name=id:folder,folder:package`: its id, and what is no part of it"
  default     = ""
}

function "build_id_of" {
  params = [service]
  result = join("", flatten(regexall("(?:^| )${service}=([^: ]*)", SERVICE_BUILD_IDS)))
}

variable "REBAKE_HOST_SETTINGS" {
  description = "Folder with the host's CA bundle and package-manager settings"
  default     = "docker/host-settings"
}

// The host's proxies; an argument that is null is not given. Docker knows these four: they are in no
// layer and no history.
variable "HTTP_PROXY" {
  default = null
}

variable "HTTPS_PROXY" {
  default = null
}

variable "NO_PROXY" {
  default = null
}

variable "ALL_PROXY" {
  default = null
}

group "default" {
  targets = ["api", "worker", "ui"]
}

group "deps" {
  targets = ["backend-deps", "ui-deps"]
}

group "dev" {
  targets = ["backend-dev", "ui-dev"]
}

target "_common" {
  contexts = { tools = "docker/tools" }
  args = {
    HTTP_PROXY  = HTTP_PROXY
    HTTPS_PROXY = HTTPS_PROXY
    NO_PROXY    = NO_PROXY
    ALL_PROXY   = ALL_PROXY
  }
  secret = [
    "id=ca,\"src=${REBAKE_HOST_SETTINGS}/ca.pem\"",
    "id=cargo-config,\"src=${REBAKE_HOST_SETTINGS}/cargo-config.toml\"",
    "id=npmrc,\"src=${REBAKE_HOST_SETTINGS}/npmrc\"",
    "id=apt-sources,\"src=${REBAKE_HOST_SETTINGS}/apt-sources.sources\"",
    "id=apt-config,\"src=${REBAKE_HOST_SETTINGS}/apt.conf\"",
    // "refuse" where there is a dependency layer; no secret, but what is one changes no layer's key.
    "id=empty-mount,env=REBAKE_EMPTY_MOUNT",
  ]
  // A local image needs no attestation: it would give each build a new digest.
  attest = ["type=provenance,disabled=true"]
}

target "_backend" {
  inherits = ["_common"]
  context  = REBAKE_BACKEND_CONTEXT
  args = {
    CACHE_ID          = CACHE_ID
    COMPILER_CACHE    = COMPILER_CACHE
    EXPECTED_BUILD_ID = BACKEND_BUILD_ID
    NETWORK           = BACKEND_NETWORK
    REBUILD           = REBUILD
    RUST_IMAGE        = RUST_IMAGE
    SEED              = SEED
    SERVICE_BUILD_IDS = SERVICE_BUILD_IDS
  }
}

target "_ui" {
  inherits = ["_common"]
  context  = REBAKE_UI_CONTEXT
  args = {
    BUN_IMAGE         = BUN_IMAGE
    CACHE_ID          = CACHE_ID
    EXPECTED_BUILD_ID = UI_BUILD_ID
    NETWORK           = UI_NETWORK
    NGINX_IMAGE       = NGINX_IMAGE
    NODE_IMAGE        = NODE_IMAGE
    REBUILD           = REBUILD
    UI_MANAGER        = UI_MANAGER
    UI_RUNTIME        = UI_RUNTIME
  }
}

// The services: one builder stage, a thin image each.
target "api" {
  inherits = ["_backend"]
  target   = "prod"
  args     = { SERVICE = "api", SERVICE_BUILD_ID = build_id_of("api") }
  tags     = ["${PROJECT}-api:${TAG}"]
}

target "worker" {
  inherits = ["_backend"]
  target   = "prod"
  args     = { SERVICE = "worker", SERVICE_BUILD_ID = build_id_of("worker") }
  tags     = ["${PROJECT}-worker:${TAG}"]
}

target "web" {
  inherits = ["_backend"]
  target   = "prod"
  args     = { SERVICE = "web" }
  output   = ["type=cacheonly"]
}

target "ui" {
  inherits = ["_ui"]
  target   = "prod"
  contexts = { server = "target:web" }
  tags     = ["${PROJECT}-ui:${TAG}"]
}

target "backend-deps" {
  inherits = ["_backend"]
  target   = "deps"
  output   = ["type=cacheonly"]
}

target "ui-deps" {
  inherits = ["_ui"]
  target   = "deps"
  output   = ["type=cacheonly"]
}

target "backend-dev" {
  inherits = ["_backend"]
  target   = "dev"
  tags     = ["${PROJECT}-dev-backend:dev"]
}

target "ui-dev" {
  inherits = ["_ui"]
  target   = "dev"
  tags     = ["${PROJECT}-dev-ui:dev"]
}
