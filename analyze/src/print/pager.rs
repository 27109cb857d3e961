//! Long answers through the user's pager.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Shows a text in `$PAGER`, else `less`. False when there is no pager, or none that could be started.
pub(super) fn page(text: &[u8], out: &mut dyn Write) -> io::Result<bool> {
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    if pager.trim().is_empty() || pager == "cat" {
        return Ok(false);
    }
    out.flush()?;
    let mut command = Command::new("/bin/sh");
    // `LESS` of the user wins: F leaves when all fits, S does not fold rows, X leaves them on the screen.
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FSX");
    }
    let Ok(mut child) = command.arg("-c").arg(&pager).stdin(Stdio::piped()).spawn() else { return Ok(false) };
    if let Some(mut input) = child.stdin.take() {
        // Who leaves the pager early has seen enough.
        let _ = input.write_all(text);
    }
    let status = child.wait()?;
    // 127: the shell did not find it.
    Ok(status.code() != Some(127))
}
