//! `proven-units`: run after cargo. Proves by content, not by times, that each library and each binary
//! of the workspace was compiled from these sources: prints those that were not, one a line, and ends
//! with 3 if there are any.
//!
//! MESSAGES is what cargo said as JSON, SOURCES the list of fresh-sources. RECORD, kept in the cache
//! mount, holds the digests of the files that each library was compiled from, at that time.

use crate::sources::entries;
use crate::{at, sealed, Failure};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const STALE: u8 = 3;
const DIGEST: usize = 64;
const WHOLE: &str = "-\t-"; // after the last file of a unit

/// `proven-units`.
pub fn prove(messages: &Path, sources: &Path, record: &Path) -> Result<ExitCode, Failure> {
    let sources = fs::read(sources).map_err(at(sources))?;
    let digests = digests(&sources);
    let old = fs::read(record).unwrap_or_default();
    let old = String::from_utf8_lossy(&old);
    let mut recorded: HashMap<&str, Vec<&str>> = HashMap::new();
    for (unit, rest) in old.lines().filter_map(|line| line.split_once('\t')) {
        recorded.entry(unit).or_default().push(rest);
    }
    let text = fs::read(messages).map_err(at(messages))?;
    let text = String::from_utf8_lossy(&text);
    let mut new = String::new();
    let mut keep = |unit: &str, lines: &[&str]| {
        for line in lines {
            new.extend([unit, "\t", line, "\n"]);
        }
    };
    let here = [
        env::current_dir()?,
        env::var_os("PWD").map(PathBuf::from).unwrap_or_default(),
    ];
    let mut seen = HashSet::new();
    let mut stale = false;
    for message in text.lines().filter(|line| of_the_workspace(line)) {
        for unit in units(message) {
            if !seen.insert(unit.clone()) {
                continue;
            }
            if message.contains("\"fresh\":false") {
                let lines = compiled(&unit, &here, &digests);
                if lines.is_empty() {
                    eprintln!("note: {unit}.d is not there");
                }
                keep(&unit, &lines.iter().map(String::as_str).collect::<Vec<_>>());
                continue;
            }
            let lines = recorded.get(unit.as_str()).map_or(&[][..], Vec::as_slice);
            if !proven(lines, &digests) {
                println!("{unit}");
                stale = true;
            }
            keep(&unit, lines);
        }
    }
    for (unit, lines) in recorded.iter().filter(|(unit, _)| !seen.contains(**unit)) {
        keep(unit, lines);
    }
    let next = sealed::beside(record, ".new");
    fs::write(&next, new).map_err(at(&next))?;
    fs::rename(&next, record).map_err(at(record))?;
    Ok(if stale {
        ExitCode::from(STALE)
    } else {
        ExitCode::SUCCESS
    })
}

/// The digest of each source now, by path.
fn digests(sources: &[u8]) -> HashMap<&Path, &str> {
    let one = |(head, _, path)| {
        let head: &[u8] = head;
        let digest = std::str::from_utf8(&head[..DIGEST]).ok()?;
        Some((Path::new(OsStr::from_bytes(path)), digest))
    };
    entries(sources).filter_map(one).collect()
}

/// Whether all files that a unit was compiled from are still what they were.
fn proven(lines: &[&str], digests: &HashMap<&Path, &str>) -> bool {
    let same = |line: &&str| {
        let (digest, path) = line.split_once('\t').unwrap_or_default();
        **line == *WHOLE || digests.get(Path::new(path)) == Some(&digest)
    };
    lines.contains(&WHOLE) && lines.iter().all(same)
}

fn of_the_workspace(line: &str) -> bool {
    line.contains("\"reason\":\"compiler-artifact\"")
        && line.contains("\"package_id\":\"path+file:")
}

/// What a message of cargo tells of: the path of each unit without its ending, as in its `.d` file.
fn units(message: &str) -> Vec<String> {
    let Some((_, rest)) = message.split_once("\"filenames\":[") else {
        return Vec::new();
    };
    let Some((names, _)) = rest.split_once(']') else {
        return Vec::new();
    };
    let binary = message.contains("\"kind\":[\"bin\"]");
    names
        .split(',')
        .filter_map(|name| unit(&name.replace('"', ""), binary))
        .collect()
}

fn unit(file: &str, binary: bool) -> Option<String> {
    let (folder, name) = file.rsplit_once('/')?;
    if folder.ends_with("/deps") {
        let name = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        return Some(format!(
            "{folder}/{}",
            name.strip_prefix("lib").unwrap_or(name)
        ));
    }
    if let Some(hash) = folder.rsplit_once('-').map(|(_, hash)| hash) {
        let hex = !hash.is_empty() && hash.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        if hex && name.starts_with("build-script-") {
            return Some(format!("{folder}/{}-{hash}", name.replace('-', "_")));
        }
    }
    binary.then(|| file.to_owned()) // a binary has its `.d` beside it
}

/// What rustc wrote that it compiled a unit from (`unit.d`, spaces in names escaped), as lines of the
/// record; none where it wrote nothing.
fn compiled(unit: &str, here: &[PathBuf], digests: &HashMap<&Path, &str>) -> Vec<String> {
    let text = fs::read(format!("{unit}.d")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut told = HashSet::new();
    let mut lines = Vec::new();
    for (_, names) in text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|l| l.split_once(": "))
    {
        for name in names.replace("\\ ", "\u{1}").split(' ') {
            let Some(path) = plain(&name.replace('\u{1}', " "), here) else {
                continue;
            };
            if let Some(digest) = digests.get(path.as_path()) {
                if told.insert(path.clone()) {
                    lines.push(format!("{digest}\t{}", path.display()));
                }
            }
        }
    }
    if !text.is_empty() {
        lines.push(WHOLE.to_owned());
    }
    lines
}

/// `./path` without `.` and `..`; none for what lies outside the sources.
fn plain(path: &str, here: &[PathBuf]) -> Option<PathBuf> {
    let path = Path::new(path);
    let inside = here
        .iter()
        .find_map(|folder| path.strip_prefix(folder).ok())
        .unwrap_or(path);
    if inside.is_absolute() {
        return None;
    }
    let mut found = vec![OsStr::new(".")];
    for part in inside {
        match part.as_bytes() {
            b"." => {}
            b".." if found.len() > 1 => drop(found.pop()),
            b".." => return None,
            _ => found.push(part),
        }
    }
    Some(found.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::{plain, unit};
    use std::path::{Path, PathBuf};

    #[test]
    fn a_unit_is_named_as_its_file_of_dependencies() {
        let library = unit("/target/release/deps/libcore-1a.rlib", false);
        assert_eq!(library.as_deref(), Some("/target/release/deps/core-1a"));
        let script = unit(
            "/target/release/build/my-abc-1a2b/build-script-build",
            false,
        );
        let named = "/target/release/build/my-abc-1a2b/build_script_build-1a2b";
        assert_eq!(script.as_deref(), Some(named));
        assert_eq!(
            unit("/target/release/api", true).as_deref(),
            Some("/target/release/api")
        );
        assert_eq!(unit("/target/release/api", false), None);
    }

    #[test]
    fn a_path_is_told_from_the_folder_of_the_sources() {
        let here = [PathBuf::from("/src"), PathBuf::new()];
        let path = |text| plain(text, &here);
        assert_eq!(
            path("/src/a/../b/./c.rs").as_deref(),
            Some(Path::new("./b/c.rs"))
        );
        assert_eq!(path("a.rs").as_deref(), Some(Path::new("./a.rs")));
        assert_eq!(path("../a.rs"), None);
        assert_eq!(path("/cargo/registry/a.rs"), None);
    }
}
