//! The production server of the UI.

use std::process::ExitCode;

fn main() -> ExitCode {
    app_service::main::<web::Web>(option_env!("REBAKE_BUILD_ID_WEB"))
}
