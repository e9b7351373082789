//! What all services share.

mod text;

/// One line for each thing that a test changes.
pub fn about() -> String {
    let mut number = itoa::Buffer::new();
    [
        text::TEXT,
        include_str!("../../../migrations/0001_first.sql").trim(),
        include_str!("chosen.txt").trim(),
        include_str!(concat!(env!("OUT_DIR"), "/words.txt")),
        number.format(7),
        if cfg!(other_toolchain) { "two" } else { "one" },
    ]
    .join("\n")
}
