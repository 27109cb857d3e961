//! `casebook-analyze`: see [`casebook_analyze::cli`].

use casebook_replay::cli::Terminals;

fn main() -> std::process::ExitCode {
    let (out, err) = (&mut std::io::stdout().lock(), &mut std::io::stderr().lock());
    casebook_analyze::cli::run_on(std::env::args_os(), out, err, Terminals::detect()).into()
}
