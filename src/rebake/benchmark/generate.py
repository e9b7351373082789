"""Makes a workspace of any number of services, to show how costs grow. Pure and deterministic.

What decides the speed (Dockerfile, bake file, tools) is the project's own; only the sources and
the list of services are made here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_SERVICE = """\
//! Service {number} of a generated workspace.

use std::net::SocketAddr;
use std::process::ExitCode;

use axum::extract::{{Path, Query, State}};
use axum::routing::{{get, post}};
use axum::{{Json, Router}};
use core_lib::{{Item, Page, Store}};
use serde::{{Deserialize, Serialize}};

#[derive(Clone)]
struct App {{
    store: Store,
    build: Option<&'static str>,
}}

#[derive(Debug, Serialize)]
struct Health {{
    service: &'static str,
    build: Option<&'static str>,
}}

#[derive(Debug, Deserialize)]
struct Wanted {{
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}}

async fn health(State(app): State<App>) -> Json<Health> {{
    Json(Health {{ service: "{name}", build: app.build }})
}}

async fn list(State(app): State<App>, Query(wanted): Query<Wanted>) -> Json<Page> {{
    Json(app.store.page(wanted.offset, wanted.limit.unwrap_or({limit})))
}}

async fn read(State(app): State<App>, Path(id): Path<u64>) -> Json<Option<Item>> {{
    Json(app.store.read(id))
}}

async fn add(State(app): State<App>, Json(item): Json<Item>) -> Json<Item> {{
    Json(app.store.add(item))
}}

fn router(build: Option<&'static str>) -> Router {{
    Router::new()
        .route("/healthz", get(health))
        .route("/items", get(list))
        .route("/items/{{id}}", get(read))
        .route("/items", post(add))
        .with_state(App {{ store: Store::new({number}), build }})
}}

async fn serve(address: SocketAddr, build: Option<&'static str>) -> std::io::Result<()> {{
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, router(build)).await
}}

/// What the program does; `build` is the id of the sources that it is made from.
pub fn main(build: Option<&'static str>) -> ExitCode {{
    match std::env::args().nth(1).as_deref() {{
        Some("--version") => {{
            println!("{name} 0.1.0 ({{}})", build.unwrap_or("none"));
            ExitCode::SUCCESS
        }}
        Some("--healthcheck") => ExitCode::SUCCESS,
        _ => {{
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            match runtime.block_on(serve(SocketAddr::from(([0, 0, 0, 0], 8080)), build)) {{
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {{
                    eprintln!("{name}: {{error}}");
                    ExitCode::FAILURE
                }}
            }}
        }}
    }}
}}
"""
# The id is another one after each edit, and what holds it is compiled again: next to nothing, then.
_MAIN = """\
//! The program of service {number}.

use std::process::ExitCode;

fn main() -> ExitCode {{
    {crate}::main(option_env!("REBAKE_BUILD_ID_{variable}"))
}}
"""
_CORE = """\
//! What all services of a generated workspace share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// A thing with a name.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Item {
    #[serde(default)]
    pub id: u64,
    pub name: String,
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A part of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    pub items: Vec<Item>,
    pub total: usize,
}

/// Keeps items in memory.
#[derive(Clone, Debug)]
pub struct Store {
    first: u64,
    items: Arc<Mutex<BTreeMap<u64, Item>>>,
}

impl Store {
    pub fn new(first: u64) -> Self {
        Self { first, items: Arc::default() }
    }

    pub fn page(&self, offset: usize, limit: usize) -> Page {
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = items.values().skip(offset).take(limit).cloned().collect();
        Page { items: shown, total: items.len() }
    }

    pub fn read(&self, id: u64) -> Option<Item> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub fn add(&self, mut item: Item) -> Item {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        item.id = items.keys().next_back().map_or(self.first, |last| last + 1);
        items.insert(item.id, item.clone());
        item
    }
}
"""
_WORKSPACE = """\
[workspace]
members = ["crates/*"]
resolver = "2"

[workspace.dependencies]
core_lib = { path = "crates/core" }
axum = { version = "0.8", default-features = false, features = ["http1", "json", "query", "tokio"] }
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }

[profile.release]
strip = "symbols"
"""
_PACKAGE = """\
[package]
name = "{name}"
version = "0.1.0"
edition = "2021"
publish = false

[dependencies]
"""


def service_names(count: int) -> tuple[str, ...]:
    """`svc-01`, `svc-02`, … ."""
    return tuple(f"svc-{number:02d}" for number in range(1, count + 1))


def workspace_files(count: int) -> dict[str, str]:
    """The cargo workspace's files, by path; its lock-file is cargo's to make."""
    files = {
        "Cargo.toml": _WORKSPACE,
        "crates/core/Cargo.toml": _PACKAGE.format(name="core_lib") + "serde.workspace = true\n",
        "crates/core/src/lib.rs": _CORE,
    }
    for number, name in enumerate(service_names(count), 1):
        uses = ("axum", "core_lib", "serde", "tokio")
        files[f"crates/{name}/Cargo.toml"] = _PACKAGE.format(name=name) + "".join(
            f"{crate}.workspace = true\n" for crate in uses
        )
        crate = name.replace("-", "_")
        files[f"crates/{name}/src/lib.rs"] = _SERVICE.format(
            name=name, number=number, limit=10 * number
        )
        files[f"crates/{name}/src/main.rs"] = _MAIN.format(
            number=number, crate=crate, variable=crate.upper()
        )
    return files


def project_files(count: int, donor: Mapping[str, str]) -> dict[str, str]:
    """All text files of a generated project, by path.

    Args:
        count: how many services.
        donor: files of a real project that are taken over: `backend/Dockerfile`,
            `backend/.dockerignore`, `docker/docker-bake.hcl` and what else lies in `docker/`.
    """
    names = service_names(count)
    quoted = ", ".join(f'"{name}"' for name in names)
    files = {path: text for path, text in donor.items() if path != "docker/docker-bake.hcl"}
    files["docker/docker-bake.hcl"] = bake_file(donor["docker/docker-bake.hcl"], names)
    files["rebake.toml"] = f'[project]\nname = "generated"\n\n[backend]\nservices = [{quoted}]\n'
    files |= {f"backend/{path}": text for path, text in workspace_files(count).items()}
    return files


def bake_file(text: str, names: tuple[str, ...]) -> str:
    """Return a project's bake file with other services, and no UI.

    The target of the first service stands for all: what a project says about `api` holds for each.
    """
    blocks = list(re.finditer(r'(?ms)^(?:target|group) "([^"]+)" \{\n.*?^\}\n?', text))
    pattern = next(b for b in blocks if 'SERVICE = "' in b[0] and "tags" in b[0])
    first = pattern[1]
    made = []
    for name in names:
        text_of = re.sub(rf"(?<![\w-]){re.escape(first)}(?![\w-])", name, pattern[0])
        made.append(text_of.replace(f"-{first}:", f"-{name}:"))
    quoted = ", ".join(f'"{name}"' for name in names)
    group = f'group "default" {{\n  targets = [{quoted}]\n}}\n'
    result = text
    for block in blocks:
        if block[1] == "default":
            result = result.replace(block[0], group)
        elif block[1] == first:
            result = result.replace(block[0], "\n".join(made))
        elif 'SERVICE = "' in block[0] or "target:" in block[0]:
            result = result.replace(block[0], "")
    binaries = f'    BINARIES   = "{" ".join(names)}"\n'
    return re.sub(r'(?ms)(^target "_backend" \{.*?^  args = \{\n)', rf"\g<1>{binaries}", result)
