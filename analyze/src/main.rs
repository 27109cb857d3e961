//! `casebook-analyze`: see [`casebook_analyze::cli`].

use casebook_replay::cli::Terminals;

fn main() -> std::process::ExitCode {
    // Standard error is not locked: the threads that read captures draw the progress bar on it.
    let (out, err) = (&mut std::io::stdout().lock(), &mut std::io::stderr());
    casebook_analyze::cli::run_on(std::env::args_os(), out, err, Terminals::detect()).into()
}
