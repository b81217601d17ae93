//! Starts one of the roles of `forge`.

fn main() -> std::process::ExitCode {
    forge::roles::main()
}
