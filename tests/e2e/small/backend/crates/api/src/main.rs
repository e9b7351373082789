//! The service `api`: tells its build id, and what it is made of.

fn main() {
    println!("api 0.1.0 (build {})", option_env!("REBAKE_BUILD_ID_API").unwrap_or("dev"));
    if std::env::args().all(|word| word != "--version") {
        println!("{}", small_core::about());
    }
}
