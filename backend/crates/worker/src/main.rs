//! The background worker.

use std::process::ExitCode;

fn main() -> ExitCode {
    app_service::main::<worker::Worker>(option_env!("REBAKE_BUILD_ID_WORKER"))
}
