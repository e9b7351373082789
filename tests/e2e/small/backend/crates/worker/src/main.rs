//! The service `worker`: tells its build id, or what it is made of.

fn main() {
    if std::env::args().any(|word| word == "--version") {
        println!("worker 0.1.0 (build {})", option_env!("REBAKE_BUILD_ID_WORKER").unwrap_or("dev"));
    } else {
        println!("{}", small_core::about());
    }
}
