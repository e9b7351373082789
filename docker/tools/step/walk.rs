//! Looks at all names below a folder, and copies them.

use crate::{at, Failure};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    Link,
    Other,
}

/// One name: its folder and itself, as `find .` writes them.
pub struct Entry {
    pub folder: PathBuf,
    pub path: PathBuf,
    pub kind: Kind,
}

impl Entry {
    /// Its own name, without the folder.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }
}

/// The path's bytes: names need not be text.
pub fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Everything below a folder, in no order. Links are not followed.
pub fn all(root: &Path) -> Result<Vec<Entry>, Failure> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            let path = entry.path();
            let kind = kind_of(entry.file_type().map_err(at(&path))?);
            if kind == Kind::Folder {
                left.push(path.clone());
            }
            found.push(Entry {
                folder: folder.clone(),
                path,
                kind,
            });
        }
    }
    Ok(found)
}

/// Copies what is in a folder: contents, permissions and links, not times.
pub fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match kind_of(entry.file_type().map_err(at(&source))?) {
            Kind::File => fs::copy(&source, &target).map(drop).map_err(at(&source))?,
            Kind::Link => {
                let place = fs::read_link(&source).map_err(at(&source))?;
                symlink(place, &target).map_err(at(&target))?;
            }
            Kind::Folder => {
                match fs::create_dir(&target) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(at(&target)(error));
                    }
                    _ => copy(&source, &target)?,
                }
                // Afterwards: nothing could be put into a folder that may only be read.
                let rights = entry.metadata().map_err(at(&source))?.permissions();
                fs::set_permissions(&target, rights).map_err(at(&target))?;
            }
            Kind::Other => {}
        }
    }
    Ok(())
}

/// Removes what is in a folder, but for the name to keep; the folder stays.
pub fn empty(folder: &Path, keep: Option<&str>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        if keep.map_or(false, |name| entry.file_name() == name) {
            continue;
        }
        remove(&entry.path())?;
    }
    Ok(())
}

/// Removes a file, or a folder with all that is in it; one that is not there is no fault.
pub fn remove(path: &Path) -> Result<(), Failure> {
    let folder = match fs::symlink_metadata(path) {
        Ok(found) => found.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(path)(error)),
    };
    let removed = if folder {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.map_err(at(path))
}

fn kind_of(found: fs::FileType) -> Kind {
    if found.is_file() {
        Kind::File
    } else if found.is_dir() {
        Kind::Folder
    } else if found.is_symlink() {
        Kind::Link
    } else {
        Kind::Other
    }
}
