//! The `unrolled` command: argument parsing, printing, and calls into the library.
#![deny(unsafe_code)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
