//! `casebook`: see the library's `cli` module.

use std::process::ExitCode;

use casebook_formats::cli;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr())
}
