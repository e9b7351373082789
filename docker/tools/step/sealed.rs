//! Lists that are kept in the cache mount. One that is cut off could lack a file, or name another one
//! than was meant: its last line is the digest of all before it.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Writes a list in one step.
pub fn write(list: &Path, body: &[u8]) -> io::Result<()> {
    let mut text = body.to_vec();
    text.extend_from_slice(format!("# {}\n", sha256::hex(body)).as_bytes());
    let new = beside(list, ".new");
    fs::write(&new, text)?;
    fs::rename(new, list)
}

/// The list without its last line; none where it is not there, or not whole.
pub fn read(list: &Path) -> Option<Vec<u8>> {
    let text = fs::read(list).ok()?;
    let body = body(&text)?;
    let seal = text[body.len()..].strip_suffix(b"\n")?;
    (seal == format!("# {}", sha256::hex(body)).as_bytes()).then(|| body.to_vec())
}

/// What comes before the last line, whether that is its digest or not.
pub fn body(text: &[u8]) -> Option<&[u8]> {
    let line = text.strip_suffix(b"\n")?;
    let start = line
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    Some(&text[..start])
}

/// A file with a longer name in the same folder.
pub fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
