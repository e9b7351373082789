//! Tells cargo about files that macros read: without this, a new migration or new query data would
//! not rebuild the crate, and the binary would be older than its sources.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
    println!("cargo:rerun-if-changed=../../.sqlx");
}
