//! The program `station`.

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Diagnostics go to standard error: standard output belongs to answers, or to the MCP protocol.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .with_env_filter(
            EnvFilter::try_from_env("STATION_LOG").unwrap_or_else(|_| EnvFilter::new("warn")),
        )
        .init();
    ExitCode::from(station::cli::run_from(std::env::args_os()).code())
}
