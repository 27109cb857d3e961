//! `casebook-compare`: see [`casebook_tests::cli`].

fn main() -> std::process::ExitCode {
    casebook_tests::cli::run(std::env::args_os(), &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}
