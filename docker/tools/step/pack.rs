//! `pack`: the gate, and all that an image needs, out of the cache mount and into OUT.
//!
//! OUT/bin gets the binaries that IDS names (as `service-ids` told them), OUT/root what they need to
//! run: their shared libraries, under the very paths that the loader will look at, a user and a folder
//! for data. What is in the current folder is removed meanwhile, where it was copied FROM elsewhere: the
//! layer that a step leaves holds what it has made, not what from.
//!
//! A binary that was not built from these sources must not become an image: each is asked for its id.
//! With `BINARIES_TELL=no` they are not: a program that is not made for it would just start. That they are
//! made from these sources is then what proven-units says.

use crate::{at, elf, walk, Failure};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs, thread};

const USER: &str = "65532:65532";

struct Binary {
    name: String,
    variable: String,
    id: String,
    built: PathBuf,
}

/// `pack`.
pub fn pack(out: &Path, profile: &Path, ids: &Path, from: Option<&Path>) -> Result<(), Failure> {
    let folder = PathBuf::from(env::var_os("CARGO_TARGET_DIR").unwrap_or_default()).join(profile);
    let text = fs::read_to_string(ids).map_err(at(ids))?;
    let binaries: Vec<Binary> = text
        .lines()
        .filter_map(|line| binary(line, &folder))
        .collect();
    // All of it at once: each part mostly waits for a file or a process.
    let tells = env::var_os("BINARIES_TELL").map_or(true, |word| word != "no");
    let asked = if tells { ask(&binaries)? } else { Vec::new() };
    thread::scope(|scope| {
        let work = [
            scope.spawn(|| copy_binaries(&binaries, &out.join("bin"))),
            scope.spawn(|| fill_root(&binaries, &out.join("root"))),
            scope.spawn(|| match from.filter(|from| !from.as_os_str().is_empty()) {
                Some(_) => walk::empty(Path::new("."), None),
                None => Ok(()),
            }),
        ];
        for (binary, child) in binaries.iter().zip(asked) {
            prove(binary, child)?;
        }
        for one in work {
            one.join()
                .map_err(|_| String::from("a part of the packing broke"))??;
        }
        Ok::<_, Failure>(())
    })?;
    tell(&binaries)
}

fn binary(line: &str, folder: &Path) -> Option<Binary> {
    let mut words = line.split(' ').map(str::to_owned);
    let (name, variable, id) = (words.next()?, words.next()?, words.next()?);
    let built = folder.join(&name);
    Some(Binary {
        name,
        variable,
        id,
        built,
    })
}

fn ask(binaries: &[Binary]) -> Result<Vec<Child>, Failure> {
    let ask = |binary: &Binary| {
        Command::new(&binary.built)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(at(&binary.built))
    };
    binaries.iter().map(ask).collect()
}

fn prove(binary: &Binary, child: Child) -> Result<(), Failure> {
    let Binary {
        name, variable, id, ..
    } = binary;
    let said = child.wait_with_output()?;
    if !said.status.success() {
        return Err(format!("{name} --version: {}", said.status).into());
    }
    let told = String::from_utf8_lossy(&said.stdout);
    let told = told.trim_end();
    let whole = env::var("REBAKE_BUILD_ID").unwrap_or_default();
    if told.contains(id.as_str()) || (!whole.is_empty() && told.contains(&whole)) {
        return Ok(());
    }
    let why = format!(
        "{name} --version says \"{told}\", but the sources are {id}: it was not built from them, \
         or its main does not tell option_env!(\"{variable}\")"
    );
    Err(why.into())
}

fn copy_binaries(binaries: &[Binary], folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    for binary in binaries {
        fs::copy(&binary.built, folder.join(&binary.name)).map_err(at(&binary.built))?;
    }
    Ok(())
}

fn fill_root(binaries: &[Binary], root: &Path) -> Result<(), Failure> {
    let listing = list_libraries(binaries)?;
    let (etc, data) = (root.join("etc"), root.join("data"));
    for folder in [&etc, &data] {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let (passwd, group) = (etc.join("passwd"), etc.join("group"));
    fs::write(&passwd, format!("app:x:{USER}::/:/nonexistent\n")).map_err(at(&passwd))?;
    fs::write(&group, "app:x:65532:\n").map_err(at(&group))?;
    let status = Command::new("chown")
        .arg(USER)
        .arg(&data)
        .status()
        .map_err(at(&data))?;
    if !status.success() {
        return Err(format!("chown: {status}").into());
    }
    let mut libraries = BTreeSet::new();
    for (loader, child) in listing {
        let listed = child.wait_with_output()?.stdout;
        libraries.insert(loader);
        libraries.extend(named(&listed));
    }
    for library in &libraries {
        let place = root.join(library.strip_prefix("/").unwrap_or(library));
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        fs::copy(library, &place).map_err(at(library))?; // a link is followed
    }
    Ok(())
}

/// Asks the loader of each binary what it would load: what `ldd` does, without a shell.
fn list_libraries(binaries: &[Binary]) -> Result<Vec<(PathBuf, Child)>, Failure> {
    let mut found = Vec::new();
    for Binary { built, .. } in binaries {
        if let Some(loader) = elf::loader(built).map_err(at(built))? {
            let child = Command::new(&loader)
                .arg("--list")
                .arg(built)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(at(&loader))?;
            found.push((loader, child));
        }
    }
    Ok(found)
}

/// The files that a loader names.
fn named(listed: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    listed
        .split(u8::is_ascii_whitespace)
        .filter(|word| word.starts_with(b"/"))
        .map(|word| PathBuf::from(OsStr::from_bytes(word)))
}

/// Which they are, to the linking: an image whose binary stayed need not be written again. For
/// src/rebake/build/usage.py; nobody is shown it.
fn tell(binaries: &[Binary]) -> Result<(), Failure> {
    let mut line = String::from("rebake-binaries");
    for binary in binaries {
        let found = fs::metadata(&binary.built).map_err(at(&binary.built))?;
        let (inode, size) = (found.ino(), found.len());
        let (seconds, nanos) = (found.mtime(), found.mtime_nsec());
        let linked = format!(" {}={inode}:{size}:{seconds}.{nanos:09}", binary.name);
        line.push_str(&linked);
    }
    println!("{line}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::named;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_libraries_that_a_loader_names() {
        let listed = b"\tlinux-vdso.so.1 (0x00007ffc)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
\tlibodd.so => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f)
";
        let found: Vec<PathBuf> = named(listed).collect();
        let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
        assert_eq!(
            found,
            [Path::new("/lib/x86_64-linux-gnu/libc.so.6"), loader]
        );
    }
}
