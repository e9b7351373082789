//! Logs: one JSON document a line, on standard output.

use std::error::Error;

use tracing::level_filters::LevelFilter;

/// Sends what is logged to standard output, panics too.
pub(crate) fn start(level: LevelFilter) {
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_max_level(level)
        .try_init();
    // There is one logger a process; whoever set one before keeps it.
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
    }
}

/// An error with everything that caused it, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    // Some errors repeat their cause's text as their own.
    texts.dedup();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_chain_names_every_cause() {
        let error = Outer(io::Error::other("no room"));
        assert_eq!(chain(&error), "cannot start: no room");
    }
}
