"""A project as people have them: a cargo workspace, a UI, slow Dockerfiles, a compose file.

It compiles in seconds: its crates have no dependencies, its UI has one package. Nothing in it knows
of rebake: its programs tell no build id and have no health check of their own.
"""

from __future__ import annotations

import re
from pathlib import Path

from e2e.support import REPOSITORY

RUST = "rust:1.97-slim-trixie"
BUN = "oven/bun:1.4.5-slim"

_MAIN = """\
use std::io::{Read, Write};

extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
}

extern "C" fn stop(_number: i32) {
    unsafe { _exit(0) }
}

// It knows no flags: whoever starts it gets a server.
fn main() {
    unsafe { signal(15, stop as *const () as usize) };
    let port = std::env::var("PORT").expect("PORT");
    let listener = std::net::TcpListener::bind(format!("0.0.0.0:{port}")).expect("the port");
    let kept = std::fs::read_to_string("/etc/shop/words.txt").expect("the words");
    for mut stream in listener.incoming().flatten() {
        let _ = stream.read(&mut [0; 1024]);
        let text = format!("{} {} {}", shop_core::greet("NAME"), kept.trim(), env!("EDITION"));
        let head = "HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: ";
        let _ = write!(stream, "{head}{}\\r\\n\\r\\n{text}", text.len());
    }
}
"""
_PACKAGE = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n'
_BACKEND = f"""\
# syntax=docker/dockerfile:1
FROM {RUST} AS builder
WORKDIR /app
ENV EDITION=first
RUN mkdir -p /etc/shop && echo built >/etc/shop/builder
COPY . .
RUN cargo build --release --locked --bin NAME

# What runs.
FROM {BUN} AS runtime
USER root
COPY words.txt /etc/shop/words.txt
COPY --from=builder /app/target/release/NAME /usr/local/bin/NAME-server
ENV PORT=7000
# Not root.
USER 1000:1000
EXPOSE 7000
CMD ["NAME-server"]
"""
_UI = f"""\
FROM {BUN} AS build
WORKDIR /app
ARG TITLE=none
COPY package.json bun.lock ./
RUN bun install --frozen-lockfile
COPY . .
RUN bun run build

FROM {BUN}
WORKDIR /srv
COPY serve.ts ./
COPY --from=build /app/out ./public
CMD ["bun", "serve.ts"]
"""
_SERVE = """\
const text = await Bun.file("public/main.js").text();
process.on("SIGTERM", () => process.exit(0));
Bun.serve({ port: 8080, fetch: () => new Response(text) });
"""
_COMPOSE = """\
services:
  backend:
    build: .
    environment:
      PORT: "7000"
    ports:
      - "127.0.0.1:${API_PORT}:7000"
    volumes:
      - kept:/kept
  jobs:
    build:
      context: .
      dockerfile: worker.Dockerfile
    environment:
      PORT: "7001"
    ports:
      - "127.0.0.1:${JOBS_PORT}:7001"
  web:
    build:
      context: frontend
      args:
        TITLE: the shop
    ports:
      - "127.0.0.1:${WEB_PORT}:8080"
volumes:
  kept: {}
"""
FILES = {
    "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n',
    "crates/core/Cargo.toml": _PACKAGE.format(name="shop_core"),
    "crates/core/src/lib.rs": (
        'pub fn greet(name: &str) -> String {\n    format!("hello from {name}")\n}\n'
    ),
    "words.txt": "and its words\n",
    "Dockerfile": _BACKEND.replace("NAME", "api"),
    "worker.Dockerfile": _BACKEND.replace("NAME", "worker"),
    ".dockerignore": "target\n**/node_modules\n.git\n",
    ".gitignore": "target/\nnode_modules/\n",
    "docker-compose.yml": _COMPOSE,
    "frontend/Dockerfile": _UI,
    "frontend/.dockerignore": "node_modules\nout\n",
    "frontend/serve.ts": _SERVE,
    "frontend/package.json": (
        '{"name": "shop", "private": true, "devDependencies": {"react": "REACT"}, "scripts": '
        '{"build": "bun build src/main.ts --define TITLE=\\"\'$TITLE\'\\" --outdir out"}}\n'
    ),
    "frontend/bun.lock": (
        '{\n  "lockfileVersion": 2,\n  "configVersion": 1,\n  "workspaces": {\n    "": {\n'
        '      "name": "shop",\n      "devDependencies": {\n        "react": "REACT",\n      },\n'
        '    },\n  },\n  "packages": {\nLINE\n  }\n}\n'
    ),
    "frontend/src/main.ts": (
        'import { version } from "react";\nconsole.log("made with", version, TITLE);\n'
    ),
}


def write_old_project(folder: Path) -> Path:
    """Write the project; its lock-files are complete."""
    lock = (REPOSITORY / "ui/bun.lock").read_text(encoding="utf-8")
    found = re.search(r'(?m)^    "react": \["react@([^"]+)".*$', lock)
    assert found is not None
    for name, text in FILES.items():
        write(folder / name, text.replace("REACT", found[1]).replace("LINE", found[0]))
    for name in ("api", "worker"):
        crate = folder / "crates" / name
        uses = '\n[dependencies]\nshop_core = { path = "../core" }\n'
        write(crate / "Cargo.toml", _PACKAGE.format(name=name) + uses)
        write(crate / "src/main.rs", _MAIN.replace("NAME", name))
    locked = [
        '[[package]]\nname = "{}"\nversion = "0.1.0"\n{}'.format(
            name, "" if name == "shop_core" else 'dependencies = [\n "shop_core",\n]\n'
        )
        for name in ("api", "shop_core", "worker")
    ]
    head = "# This file is automatically @generated by Cargo.\nversion = 4\n\n"
    write(folder / "Cargo.lock", head + "\n".join(locked))
    return folder


def write(file: Path, text: str) -> None:
    """Write a file, with the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
