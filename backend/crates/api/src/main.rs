//! The HTTP API over the items.

use std::process::ExitCode;

fn main() -> ExitCode {
    app_service::main::<api::Api>(option_env!("REBAKE_BUILD_ID_API"))
}
