//! `casebook-capture`: see [`casebook_capture::cli`].

fn main() -> std::process::ExitCode {
    casebook_capture::cli::run(std::env::args_os(), &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}
