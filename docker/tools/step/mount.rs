//! `mend-mount`: cargo's files in the cache mount (`$CARGO_TARGET_DIR`), as cargo left them.
//!
//! `keep`, after cargo, writes down size and time of each. `check`, before cargo: whatever is not as it
//! was written down (cut off by a full disk, a crash, a hand) is removed with all that cargo knows of
//! it, so that cargo makes it again. cargo itself does not look at what it has made: it would link a
//! broken library, or fail with a riddle.

use crate::walk::{self, bytes};
use crate::{at, sealed, Failure};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io, thread};

/// Nanoseconds since 1970.
pub type Time = i128;

const SECOND: Time = 1_000_000_000;
const OWN: &str = ".rebake"; // in the mount: not cargo's
const SHOWN: usize = 3;
const OTHER_RUSTC: u8 = 4;

/// A time as `date +%s.%N` writes it.
pub fn text_of(time: Time) -> String {
    format!("{}.{:09}", time.div_euclid(SECOND), time.rem_euclid(SECOND))
}

/// The reverse of `text_of`.
pub fn parse(text: &[u8]) -> Option<Time> {
    let (seconds, nanos) = std::str::from_utf8(text).ok()?.split_once('.')?;
    let nanos = nanos.get(..9)?;
    Some(seconds.parse::<Time>().ok()? * SECOND + nanos.parse::<Time>().ok()?)
}

/// The first whole second after a time.
pub fn second_after(time: Time) -> Time {
    (time.div_euclid(SECOND) + 1) * SECOND
}

/// `mend-mount keep`.
pub fn keep(list: &Path) -> Result<(), Failure> {
    let (lines, _) = files(&target()?)?;
    sealed::write(list, &lines).map_err(at(list))
}

/// `mend-mount check`: prints a time that no file is later than; nothing where there are none.
pub fn check_and_tell(list: &Path) -> Result<(), Failure> {
    if let Some(latest) = check(list)? {
        println!("{}", text_of(latest));
    }
    Ok(())
}

/// Mends the mount; returns a time that no file is later than.
pub fn check(list: &Path) -> Result<Option<Time>, Failure> {
    let target = target()?;
    if let Some(folder) = list.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let (now, mut latest) = files(&target)?;
    let text = match fs::read(list) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(latest),
        Err(error) => return Err(at(list)(error)),
    };
    latest = latest.max(Some(time_of(&fs::metadata(list).map_err(at(list))?)));
    // Nearly always all is as it was, line for line.
    if sealed::body(&text) == Some(&now) {
        return Ok(latest);
    }
    let Some(known) = sealed::read(list) else {
        eprintln!("note: the list of what is in the cache mount is broken: all is compiled anew");
        walk::empty(&target, Some(OWN))?;
        walk::remove(list)?;
        return Ok(latest);
    };
    mend(&target, &known, &now)?;
    Ok(latest)
}

/// `same-rustc RECORD`: whether the compiler is the one of the last build. Ends with 4 where it is not;
/// RECORD.new is what it says of itself then.
///
/// cargo keeps what rustc said of itself as long as the program has the same size and times. Images
/// that are made to be reproducible give all files one time, and not every file system knows another.
pub fn same_rustc(record: &Path) -> Result<ExitCode, Failure> {
    let rustc = Path::new("rustc");
    let said = Command::new(rustc)
        .arg("-vV")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(at(rustc))?;
    if !said.status.success() {
        return Err(format!("rustc -vV: {}", said.status).into());
    }
    if fs::read(record).ok().as_deref() == Some(&said.stdout) {
        return Ok(ExitCode::SUCCESS);
    }
    let new = sealed::beside(record, ".new");
    fs::write(&new, &said.stdout).map_err(at(&new))?;
    Ok(ExitCode::from(OTHER_RUSTC))
}

/// Removes what is not as it was written down, with all that cargo knows of it.
fn mend(target: &Path, known: &[u8], now: &[u8]) -> Result<(), Failure> {
    let there: HashSet<&[u8]> = now.split(|&byte| byte == b'\n').collect();
    let broken: Vec<PathBuf> = known
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty() && !there.contains(line))
        .filter_map(|line| line.splitn(3, |&byte| byte == b' ').nth(2)) // size, time, path
        .map(|path| PathBuf::from(OsStr::from_bytes(path)))
        .collect();
    if broken.is_empty() {
        return Ok(());
    }
    eprintln!(
        "note: {} files in the cache mount are not as cargo left them; they are made again",
        broken.len()
    );
    for file in broken.iter().take(SHOWN) {
        eprintln!("{}", file.display());
    }
    for file in &broken {
        forget(target, file)?;
    }
    Ok(())
}

/// Removes a file and all that cargo knows of what it belongs to.
fn forget(target: &Path, file: &Path) -> Result<(), Failure> {
    let mut units = false;
    for kind in ["incremental", ".fingerprint", "build"] {
        if let Some((place, unit)) = unit_in(file, kind) {
            walk::remove(&target.join(&place).join(kind).join(&unit))?;
            walk::remove(&target.join(&place).join(".fingerprint").join(&unit))?;
            units = true;
        }
    }
    if units {
        return Ok(());
    }
    walk::remove(&target.join(file))?;
    if let Some((place, name)) = below(file, "deps") {
        let name = name.to_string_lossy();
        let unit = name.split('.').next().unwrap_or_default();
        let hash = unit.rsplit('-').next().unwrap_or_default();
        forget_units(&target.join(place).join(".fingerprint"), |name| {
            name.rsplit_once('-').map_or(false, |(_, end)| end == hash)
        })?;
    }
    Ok(())
}

/// Removes the units of a folder of fingerprints whose names are wanted.
fn forget_units(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(at(folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(at(folder))?;
        if wanted(&entry.file_name().to_string_lossy()) {
            walk::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Of `PLACE/KIND/UNIT/…`: the place and the unit; the last such folder counts.
fn unit_in(file: &Path, kind: &str) -> Option<(PathBuf, PathBuf)> {
    let parts: Vec<_> = file.iter().collect();
    let at = parts.iter().rposition(|&part| part == kind)?;
    (at + 2 < parts.len()).then(|| (parts[..at].iter().collect(), PathBuf::from(parts[at + 1])))
}

/// Of `PLACE/KIND/NAME`: the place and the name; the last such folder counts.
fn below(file: &Path, kind: &str) -> Option<(PathBuf, PathBuf)> {
    let parts: Vec<_> = file.iter().collect();
    let at = parts.iter().rposition(|&part| part == kind)?;
    (at + 1 < parts.len()).then(|| {
        (
            parts[..at].iter().collect(),
            parts[at + 1..].iter().collect(),
        )
    })
}

/// A line for each of cargo's files, sorted: size, time, path. And the latest time.
///
/// There are thousands, and nothing else can go on before they were looked at. So all processors look,
/// at the folders of one level after the other.
fn files(target: &Path) -> Result<(Vec<u8>, Option<Time>), Failure> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut found = Found::default();
    let mut level = vec![target.to_owned()];
    while !level.is_empty() {
        let share = (level.len() + threads - 1) / threads;
        let parts: Vec<Result<Found, Failure>> = thread::scope(|scope| {
            let look = |part| scope.spawn(move || look(target, part));
            let running: Vec<_> = level.chunks(share).map(look).collect();
            let broke = |_| Err(String::from("a look at the mount broke").into());
            running
                .into_iter()
                .map(|one| one.join().unwrap_or_else(broke))
                .collect()
        });
        level = Vec::new();
        for part in parts {
            let part = part?;
            found.lines.extend(part.lines);
            found.latest = found.latest.max(part.latest);
            level.extend(part.folders);
        }
    }
    found.lines.sort_unstable();
    Ok((found.lines.concat(), found.latest))
}

/// What was found in some folders.
#[derive(Default)]
struct Found {
    lines: Vec<Vec<u8>>,
    latest: Option<Time>,
    folders: Vec<PathBuf>,
}

fn look(target: &Path, folders: &[PathBuf]) -> Result<Found, Failure> {
    let own = target.join(OWN);
    let mut found = Found::default();
    for folder in folders {
        for entry in fs::read_dir(folder).map_err(at(folder))? {
            let entry = entry.map_err(at(folder))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(at(&path))?;
            if kind.is_dir() && path != own {
                found.folders.push(path);
            } else if kind.is_file() {
                let about = entry.metadata().map_err(at(&path))?;
                let time = time_of(&about);
                found.latest = found.latest.max(Some(time));
                // As `find . -printf '%s %T@ %p\n'` writes it, which wrote the lists of older mounts.
                let mut line = format!("{} {}0 ./", about.len(), text_of(time)).into_bytes();
                line.extend_from_slice(bytes(path.strip_prefix(target).unwrap_or(&path)));
                line.push(b'\n');
                found.lines.push(line);
            }
        }
    }
    Ok(found)
}

fn time_of(found: &fs::Metadata) -> Time {
    Time::from(found.mtime()) * SECOND + Time::from(found.mtime_nsec())
}

fn target() -> Result<PathBuf, Failure> {
    let place = env::var_os("CARGO_TARGET_DIR");
    place
        .map(PathBuf::from)
        .ok_or_else(|| Failure::new("CARGO_TARGET_DIR is not set", 1))
}
