//! `service-ids`: the id of each binary's own part of the sources.
//!
//! `SERVICE_BUILD_IDS` holds, for each binary that does not need all of them,
//! `name=id:folder,folder:package`: the id that it must have, the folders that are no part of it, and
//! the package whose part of the Cargo.lock alone counts; all of that file counts where none is named.
//! A binary that is not in it has the id of all. `rebake.build.ids` works out the same from outside.

use crate::{at, lock, Failure};
use std::path::Path;
use std::{env, fs};

const DIGEST: usize = 64;
const PREFIX: usize = DIGEST + 2 + 2; // a digest, a mark and `./`
pub const ID: usize = 16;
const LOCK: &str = "Cargo.lock";

struct Scope {
    name: String,
    expected: String,
    folders: Vec<Vec<u8>>,
    package: String,
}

/// Prints a line for each binary: its name, the variable that its `main` reads, and its id.
pub fn tell(files: &Path, all: &Path, binaries: &[&Path]) -> Result<(), Failure> {
    let scopes = scopes(&env::var("SERVICE_BUILD_IDS").unwrap_or_default());
    let sources = fs::read(files).map_err(at(files))?;
    let locked = fs::read_to_string(LOCK).unwrap_or_default();
    let all = all.to_string_lossy();
    for binary in binaries {
        let name = binary.to_string_lossy();
        let scope = scopes.iter().rev().find(|scope| scope.name == name);
        let id = scope
            .and_then(|scope| own_id(scope, &sources, &locked))
            .unwrap_or_else(|| all.to_string());
        if let Some(Scope { expected, .. }) = scope.filter(|scope| scope.expected != id) {
            let text =
                format!("the builder has the sources {id}, but the plan is for {expected}: {name}");
            return Err(Failure::new(text, 65));
        }
        let variable = name
            .to_ascii_uppercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        println!("{name} REBAKE_BUILD_ID_{variable} {id}");
    }
    Ok(())
}

/// The id over the lines of the files that are in none of a binary's foreign folders.
fn own_id(scope: &Scope, sources: &[u8], locked: &str) -> Option<String> {
    let foreign = |path: &[u8]| {
        scope.folders.iter().any(|folder| {
            path.strip_prefix(folder.as_slice())
                .map_or(false, |rest| rest.starts_with(b"/"))
        })
    };
    let lines = sources.split_inclusive(|&byte| byte == b'\n');
    let part = lock::part_of(locked, &scope.package);
    let part = part.map(|part| format!("{}  ./{LOCK}\n", sha256::hex(part.as_bytes())));
    let of_lock = format!("  ./{LOCK}\n");
    let own: Vec<&[u8]> = lines
        .filter(|line| line.get(PREFIX..).map_or(false, |path| !foreign(path)))
        .map(|line| match &part {
            Some(part) if line.get(DIGEST..) == Some(of_lock.as_bytes()) => part.as_bytes(),
            _ => line,
        })
        .collect();
    (!own.is_empty()).then(|| sha256::hex(&own.concat())[..ID].to_owned())
}

fn scopes(words: &str) -> Vec<Scope> {
    let scope = |word: &str| {
        let (name, rest) = word.split_once('=')?;
        let (expected, rest) = rest.split_once(':')?;
        let (folders, package) = rest.split_once(':').unwrap_or((rest, ""));
        let odd = |text: &str| text.is_empty() || text.contains(['=', ':']);
        if odd(name) || odd(expected) {
            return None;
        }
        let folders = folders.split(',').filter(|one| !one.is_empty());
        Some(Scope {
            name: name.to_owned(),
            expected: expected.to_owned(),
            folders: folders.map(|one| one.as_bytes().to_owned()).collect(),
            package: package.to_owned(),
        })
    };
    words.split(' ').filter_map(scope).collect()
}
