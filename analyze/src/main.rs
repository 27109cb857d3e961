//! `casebook-analyze`: see [`casebook_analyze::cli`].

fn main() -> std::process::ExitCode {
    casebook_analyze::cli::run(std::env::args_os(), &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}
