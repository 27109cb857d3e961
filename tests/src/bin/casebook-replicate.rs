//! `casebook-replicate`: see [`casebook_tests::replicate`].

fn main() -> std::process::ExitCode {
    casebook_tests::replicate::run(std::env::args_os(), &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}
