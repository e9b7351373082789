//! Reads a folder that it watches (`words`), one that it does not need to watch since its name is
//! in the sources (`migrations`), and writes what it found for the library.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=words");
    println!("cargo:rerun-if-changed=../../migrations");
    let mut words: Vec<String> = fs::read_dir("words")
        .expect("words can be read")
        .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a word"))
        .map(|text| text.trim().to_owned())
        .collect();
    words.sort();
    let file = Path::new(&env::var("OUT_DIR").expect("OUT_DIR")).join("words.txt");
    fs::write(file, words.join(" ")).expect("words.txt can be written");
}
