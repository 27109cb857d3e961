//! `casebook-pages`: see [`casebook_tests::pages`].

fn main() -> std::process::ExitCode {
    casebook_tests::pages::run(std::env::args_os(), &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}
