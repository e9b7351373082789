//! Which loader a program asks for: see elf(5), `PT_INTERP`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

const HEADER: usize = 64;
const CLASS: usize = 4; // where the header has the width of its numbers
const LITTLE_64: [u8; 2] = [2, 1]; // 64 bits, least byte first
const PT_INTERP: u64 = 3;
const LONGEST: u64 = 4096;

/// The loader of a program; none where it is linked statically, or is no program of this kind.
pub fn loader(program: &Path) -> io::Result<Option<PathBuf>> {
    let mut file = File::open(program)?;
    let mut header = Vec::with_capacity(HEADER);
    file.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
    if header.len() < HEADER || !header.starts_with(b"\x7fELF") || header[CLASS..][..2] != LITTLE_64
    {
        return Ok(None);
    }
    let (table, size, count) = (
        number(&header, 32, 8),
        number(&header, 54, 2),
        number(&header, 56, 2),
    );
    let mut entries = Vec::new();
    file.seek(SeekFrom::Start(table))?;
    file.by_ref().take(size * count).read_to_end(&mut entries)?;
    let entries = entries.chunks_exact(usize::try_from(size).unwrap_or(1).max(1));
    let wanted = |entry: &&[u8]| entry.len() >= 40 && number(entry, 0, 4) == PT_INTERP;
    let Some(entry) = entries.into_iter().find(wanted) else {
        return Ok(None);
    };
    let mut name = Vec::new();
    file.seek(SeekFrom::Start(number(entry, 8, 8)))?;
    file.take(number(entry, 32, 8).min(LONGEST))
        .read_to_end(&mut name)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Ok(Some(PathBuf::from(OsString::from_vec(name))))
}

/// A number of some bytes, the least one first.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    bytes[at..at + size]
        .iter()
        .rev()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}
