//! `casebook-replay`: see the library's `cli` module.

use std::process::ExitCode;

use casebook_replay::cli::{self, Terminals};

fn main() -> ExitCode {
    cli::run_on(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr(), Terminals::detect()).into()
}
