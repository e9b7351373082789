//! What a build step does beside cargo, so that no image is ever wrong: see docker/tools/build-workspace,
//! which calls it. One program, since each one that is started costs a millisecond or two of every
//! build; a layer of its own, compiled once (backend/Dockerfile, stage `step`).
//!
//!   step fresh-sources STATE LIST [FROM]       the times that cargo is shown; prints the build id
//!   step mend-mount check|keep LIST            cargo's files, as they were left
//!   step same-rustc RECORD                     whether the compiler is the one of the last build
//!   step service-ids FILES ID BINARY...        each binary's own part of the sources
//!   step proven-units MESSAGES SOURCES RECORD  what was compiled from these very sources
//!   step pack OUT PROFILE IDS [FROM]           the gate, and all that an image needs
//!
//! Needs Rust 1.66 and the standard library alone.

mod elf;
mod ids;
mod lock;
mod mount;
mod pack;
mod sealed;
mod sources;
mod units;
mod walk;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fmt, io};

/// Why it ends: what to say, and the exit code.
#[derive(Debug)]
pub struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn new(text: impl Into<String>, code: u8) -> Self {
        let text = text.into();
        Self { text, code }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error: {}", self.text)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::new(text, 1)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string(), 1)
    }
}

/// What it was that could not be done to a file, in an error.
pub fn at(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| Failure::new(format!("{}: {error}", path.display()), 1)
}

fn run(words: &[OsString]) -> Result<ExitCode, Failure> {
    let Some((name, rest)) = words.split_first() else {
        return Err(Failure::new("no word; see docker/tools/step/main.rs", 2));
    };
    let rest: Vec<&Path> = rest.iter().map(Path::new).collect();
    match (name.to_str().unwrap_or_default(), rest.as_slice()) {
        ("fresh-sources", [state, list]) => sources::fresh(state, list, None),
        ("fresh-sources", [state, list, from]) => sources::fresh(state, list, Some(from)),
        ("mend-mount", [word, list]) if *word == Path::new("check") => mount::check_and_tell(list),
        ("mend-mount", [word, list]) if *word == Path::new("keep") => mount::keep(list),
        ("same-rustc", [record]) => return mount::same_rustc(record),
        ("service-ids", [files, id, binaries @ ..]) => ids::tell(files, id, binaries),
        ("proven-units", [messages, sources, record]) => {
            return units::prove(messages, sources, record);
        }
        ("pack", [out, profile, ids]) => pack::pack(out, profile, ids, None),
        ("pack", [out, profile, ids, from]) => pack::pack(out, profile, ids, Some(from)),
        (name, _) => Err(Failure::new(
            format!("{name}: no such word, or too few after it"),
            2,
        )),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    run(&words).unwrap_or_else(|failure| {
        eprintln!("{failure}");
        ExitCode::from(failure.code)
    })
}
