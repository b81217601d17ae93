//! What the program can be started as.

/// Parses the command line and runs one role.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
