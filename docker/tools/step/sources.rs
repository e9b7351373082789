//! `fresh-sources`: run in a source folder before cargo; where FROM is named, the folder is filled from
//! there first. Prints the build id of the sources, writes the digests that it is made from to
//! STATE.files, and gives each file a modification time that changes exactly when its content does.
//!
//! Why: cargo decides by modification times. A file whose content changed but whose time is older than
//! the last build (another worktree, a restored file, an unpacked archive) would give a binary of the
//! old sources. STATE, kept in the cache mount beside cargo's own files, has a line for each file:
//! digest, the time that cargo was shown, path. New content is shown with a new time, known content with
//! its old one. STATE is written before cargo runs: if the build breaks off, the next one shows the same
//! times, and cargo goes on where it stopped.
//!
//! The build id is the first 16 hex digits of the SHA-256 over the lines of all files, then of all links
//! (`<digest>  ./path`, `<digest of where it points to> @./path`), each sorted bytewise;
//! `rebake.build.inputs` and docker/tools/source-digests make the same.

use crate::mount::{self, Time};
use crate::walk::{self, bytes, Entry, Kind};
use crate::{at, ids, sealed, Failure};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

const FILE: [u8; 2] = *b"  ";
const LINK: [u8; 2] = *b" @";
/// Bytes of a digest and a mark.
const HEAD: usize = 66;
// To show many different times would take longer and longer: above so many, the oldest ones become
// one, the latest of them, and KEPT are left. A later time never hides an edit.
const MOST_TIMES: usize = 64;
const KEPT_TIMES: usize = 32;
const ARGUMENTS: usize = 60_000; // bytes: well below what a program may be given

/// A file, a link or a folder, with the digest of what it holds.
struct Line {
    head: Vec<u8>, // digest and mark
    path: PathBuf, // `./path`
}

impl Line {
    fn new(digest: &str, mark: [u8; 2], path: PathBuf) -> Self {
        Self {
            head: [digest.as_bytes(), &mark].concat(),
            path,
        }
    }

    fn text(&self) -> Vec<u8> {
        [&self.head, bytes(&self.path)].concat()
    }
}

/// What the last build was shown: the time of each line, and all paths.
#[derive(Default)]
struct Known {
    times: HashMap<Vec<u8>, Time>,
    paths: HashSet<PathBuf>,
}

/// `fresh-sources`.
pub fn fresh(state: &Path, list: &Path, from: Option<&Path>) -> Result<(), Failure> {
    if let Some(folder) = state.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let (files, folders, latest) = thread::scope(|scope| {
        let mending = scope.spawn(|| mount::check(list));
        if let Some(from) = from.filter(|from| !from.as_os_str().is_empty()) {
            walk::copy(from, Path::new("."))?;
        }
        let (files, folders) = look()?;
        let latest = mending
            .join()
            .map_err(|_| String::from("the check of the mount broke"))?;
        Ok::<_, Failure>((files, folders, latest?))
    })?;

    // Where the list is not there, or not whole, all is shown as new, and compiled again.
    let known = sealed::read(state)
        .map(|body| known(&body))
        .unwrap_or_default();
    let anew = anew(&known, &files, &folders)?;
    let now = now(latest)?;
    let lines: Vec<&Line> = files.iter().chain(&folders).collect();
    let shown = times(&known, &anew, &lines, now);
    sealed::write(state, &state_of(&lines, &shown)).map_err(at(state))?;
    show(&lines, &shown)?;

    let text: Vec<u8> = files
        .iter()
        .flat_map(|line| [line.text(), b"\n".to_vec()].concat())
        .collect();
    let list = sealed::beside(state, ".files");
    fs::write(&list, &text).map_err(at(&list))?;
    println!("{}", &sha256::hex(&text)[..ids::ID]);
    Ok(())
}

/// One look at all names: the files and links, and the folders.
fn look() -> Result<(Vec<Line>, Vec<Line>), Failure> {
    let entries = walk::all(Path::new("."))?;
    for Entry { path, .. } in &entries {
        let name = path.file_name().unwrap_or_default().as_bytes();
        if name.iter().any(|byte| b"\\\n\r".contains(byte)) {
            let what =
                "a name with a backslash or a line end; rename it, or list it in .dockerignore";
            return Err(format!("{}: {what}", path.display()).into());
        }
    }
    let of = |kind: Kind| {
        let one = entries.iter().filter(|entry| entry.kind == kind);
        let mut paths: Vec<&Path> = one
            .filter(|entry| entry.name() != ".dockerignore")
            .map(|entry| entry.path.as_path())
            .collect();
        paths.sort_unstable_by_key(|path| bytes(path));
        paths
    };
    let mut lines = digests(&of(Kind::File))?;
    for path in of(Kind::Link) {
        let mut place = fs::read_link(path)
            .map_err(at(path))?
            .into_os_string()
            .into_vec();
        place.push(b'\n');
        lines.push(Line::new(&sha256::hex(&place), LINK, path.to_owned()));
    }
    Ok((lines, folders(&entries)))
}

/// The digests of files, in the same order; by all processors.
fn digests(paths: &[&Path]) -> Result<Vec<Line>, Failure> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = paths.len() / threads + 1;
    thread::scope(|scope| {
        let parts: Vec<_> = paths
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    let line = |path: &&Path| {
                        let digest = sha256::of_file(path).map_err(at(path))?;
                        Ok(Line::new(&digest, FILE, path.to_path_buf()))
                    };
                    part.iter().map(line).collect::<Result<Vec<_>, Failure>>()
                })
            })
            .collect();
        let mut lines = Vec::with_capacity(paths.len());
        for part in parts {
            lines.extend(part.join().map_err(|_| String::from("a digest broke"))??);
        }
        Ok(lines)
    })
}

/// A folder counts as changed when its entries do: build scripts may watch folders.
fn folders(entries: &[Entry]) -> Vec<Line> {
    let mut names: BTreeMap<&Path, Vec<&[u8]>> = BTreeMap::new();
    for entry in entries {
        names
            .entry(&entry.folder)
            .or_default()
            .push(entry.name().as_bytes());
        if entry.kind == Kind::Folder {
            names.entry(&entry.path).or_default();
        }
    }
    let line = |(folder, mut names): (&Path, Vec<&[u8]>)| {
        names.sort_unstable();
        let text: Vec<u8> = names
            .iter()
            .flat_map(|name| [*name, b"\n"].concat())
            .collect();
        Line::new(&sha256::hex(&text), FILE, folder.to_owned())
    };
    names.into_iter().map(line).collect()
}

/// The lines of STATE: digest with mark, time, path.
pub fn entries(state: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
    state.split(|&byte| byte == b'\n').filter_map(|line| {
        let rest = line.get(HEAD..)?;
        let tab = rest.iter().position(|&byte| byte == b'\t')?;
        Some((&line[..HEAD], &rest[..tab], &rest[tab + 1..]))
    })
}

fn known(body: &[u8]) -> Known {
    let mut known = Known::default();
    for (head, time, path) in entries(body) {
        known.paths.insert(PathBuf::from(OsStr::from_bytes(path)));
        if let Some(time) = mount::parse(time) {
            known.times.insert([head, path].concat(), time);
        }
    }
    known
}

/// What cargo can't see by the time of the file itself:
/// - a link that points elsewhere now: cargo looks at the time of what it points to;
/// - a file that is gone: a build script that names no inputs runs again when the newest file of its
///   package is another one, so the package's manifest becomes that.
fn anew(known: &Known, files: &[Line], folders: &[Line]) -> Result<HashSet<PathBuf>, Failure> {
    let mut anew = HashSet::new();
    let here: HashSet<&Path> = files
        .iter()
        .chain(folders)
        .map(|line| line.path.as_path())
        .collect();
    for gone in known
        .paths
        .iter()
        .filter(|path| !here.contains(path.as_path()))
    {
        let manifests = gone
            .ancestors()
            .skip(1)
            .map(|folder| folder.join("Cargo.toml"));
        anew.extend(
            manifests
                .into_iter()
                .find(|manifest| here.contains(manifest.as_path())),
        );
    }
    let root = env::current_dir()?.canonicalize()?;
    for link in files.iter().filter(|line| line.head.ends_with(&LINK)) {
        if known.times.contains_key(&link.text()) {
            continue;
        }
        // One that leads nowhere, or out of the sources, changes the time of none of them.
        let Ok(target) = link.path.canonicalize() else {
            continue;
        };
        let Ok(inside) = target.strip_prefix(&root) else {
            continue;
        };
        let top = Path::new(".").join(inside);
        let below = |path: &&Line| path.path.starts_with(&top) && !path.head.ends_with(&LINK);
        anew.extend(
            files
                .iter()
                .chain(folders)
                .filter(below)
                .map(|line| line.path.clone()),
        );
    }
    Ok(anew)
}

/// Later than anything that cargo has written so far, even if the clock was set back.
fn now(latest: Option<Time>) -> Result<Time, Failure> {
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| error.to_string())?;
    let clock = Time::try_from(clock.as_nanos()).map_err(|error| error.to_string())?;
    Ok(latest
        .filter(|latest| *latest >= clock)
        .map_or(clock, mount::second_after))
}

/// The time that each line is shown with.
fn times(known: &Known, anew: &HashSet<PathBuf>, lines: &[&Line], now: Time) -> Vec<Time> {
    let time = |line: &&Line| match known.times.get(&line.text()) {
        Some(time) if !anew.contains(&line.path) => *time,
        _ => now,
    };
    let mut shown: Vec<Time> = lines.iter().map(time).collect();
    let different: BTreeSet<Time> = shown.iter().copied().collect();
    if different.len() > MOST_TIMES {
        let floor = different
            .iter()
            .rev()
            .nth(KEPT_TIMES)
            .copied()
            .unwrap_or(now);
        for time in &mut shown {
            *time = floor.max(*time);
        }
    }
    shown
}

fn state_of(lines: &[&Line], shown: &[Time]) -> Vec<u8> {
    let mut body = Vec::new();
    for (line, time) in lines.iter().zip(shown) {
        body.extend_from_slice(&line.head);
        body.extend_from_slice(format!("{}\t", mount::text_of(*time)).as_bytes());
        body.extend_from_slice(bytes(&line.path));
        body.push(b'\n');
    }
    body
}

/// Gives the files their times. By `touch`: the standard library gives links none.
fn show(lines: &[&Line], shown: &[Time]) -> Result<(), Failure> {
    let mut at_once: BTreeMap<Time, Vec<Vec<&Path>>> = BTreeMap::new();
    let mut room: HashMap<Time, usize> = HashMap::new();
    for (line, time) in lines.iter().zip(shown) {
        let parts = at_once.entry(*time).or_default();
        let left = room.entry(*time).or_default();
        if *left < bytes(&line.path).len() {
            parts.push(Vec::new());
            *left = ARGUMENTS;
        }
        *left = left.saturating_sub(bytes(&line.path).len() + 1);
        if let Some(part) = parts.last_mut() {
            part.push(&line.path);
        }
    }
    let mut running = Vec::new();
    for (time, parts) in &at_once {
        for part in parts {
            let mut when = OsString::from("@");
            when.push(mount::text_of(*time));
            let touch = Path::new("touch");
            running.push(
                Command::new(touch)
                    .args(["-c", "-h", "-d"])
                    .arg(when)
                    .arg("--")
                    .args(part)
                    .spawn()
                    .map_err(at(touch))?,
            );
        }
    }
    for mut one in running {
        let status = one.wait()?;
        if !status.success() {
            return Err(format!("touch: {status}").into());
        }
    }
    Ok(())
}
