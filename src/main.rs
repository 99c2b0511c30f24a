//! The `queuepost` program: parse, dispatch, exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("queuepost: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(queuepost::cli::main());
    // A name look-up that hangs in the system's resolver must not delay the exit.
    runtime.shutdown_background();
    code
}
