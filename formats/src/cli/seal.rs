//! `casebook seal`: signs files in the format of minisign, and makes the keys for it.
//!
//! Evidence stays as it is: a signature goes into a file of its own beside it. Secret keys and passwords come from files,
//! the environment or the terminal, never from the command line, which other users of the machine can read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::args::SealArgs;
use super::exit::Exit;
use super::say;
use super::verify::{check, signature_path, small_file};
use crate::record::hex;
use crate::seekable::verify::State;
use crate::signature::{SecretKey, SignError, new_key};
use crate::terminal::Safe;

/// Runs the subcommand.
pub(super) fn run(args: &SealArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    match (&args.new_key, &args.key) {
        (Some(name), _) => make_key(name, args, out, err),
        (None, Some(key)) => match secret_key(key, args) {
            Ok(secret) => sign_all(&secret, args, out, err),
            Err(error) => {
                say(err, &format!("{}: {error}", key.display()));
                Exit::Unreadable
            }
        },
        // clap asks for one of the two.
        (None, None) => Exit::Usage,
    }
}

/// A key file's name: NAME with the ending, unless NAME has `.key` already.
fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let stem = if name.extension().is_some_and(|extension| extension == "key") {
        name.with_extension("")
    } else {
        name.into()
    };
    let mut name = stem.into_os_string();
    name.push(ending);
    name.into()
}

fn make_key(name: &Path, args: &SealArgs, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let (secret_path, public_path) = (with_ending(name, ".key"), with_ending(name, ".pub"));
    let is_there = [&secret_path, &public_path].into_iter().find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = is_there.filter(|_| !args.force) {
        say(err, &format!("{}: is there already; --force replaces it", path.display()));
        return Exit::Output;
    }
    let password = match password(args, true) {
        Ok(password) => password.filter(|_| !args.no_password),
        Err(error) => {
            say(err, &format!("password: {error}"));
            return Exit::Unreadable;
        }
    };
    let (secret, public) = match new_key(password.as_deref()) {
        Ok(pair) => pair,
        Err(error) => {
            say(err, &error.to_string());
            return Exit::Output;
        }
    };
    for (path, text, mode) in [(&secret_path, &secret, 0o600), (&public_path, &public.to_file(), 0o644)] {
        if let Err(error) = write_file(path, text, mode) {
            say(err, &format!("{}: {error}", path.display()));
            return Exit::of_output(&error);
        }
    }
    let (secret, shown) = (secret_path.display().to_string(), public_path.display().to_string());
    let text = format!(
        "secret key  {}  (keep it to yourself)\npublic key  {}  {}\nkey id      {}\n",
        Safe(secret.as_bytes()),
        Safe(shown.as_bytes()),
        public.base64(),
        public.id()
    );
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Complete,
        Err(error) => Exit::of_output(&error),
    }
}

/// Replaces a file in one step, so that nobody ever sees half of it, or a secret one with the rights of an older file.
fn write_file(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    // What an interrupted run left; it may not exist.
    let _ = std::fs::remove_file(&partial);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&partial, path)
}

/// The password, from where the options say; `None` when none is wanted.
fn password(args: &SealArgs, is_new: bool) -> io::Result<Option<String>> {
    if args.no_password {
        return Ok(None);
    }
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let password = if let Some(path) = &args.password_file {
        first_line(
            small_file(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?,
        )
    } else if let Some(name) = &args.password_env {
        std::env::var(name).map_err(|_| io::Error::other(format!("the environment has no variable {name}")))?
    } else {
        ask(is_new)?
    };
    if password.is_empty() && is_new {
        return Err(io::Error::other("it is empty; --no-password makes a key that is not encrypted"));
    }
    Ok(Some(password))
}

/// Asks on the terminal, without showing what is typed; a new password twice.
fn ask(is_new: bool) -> io::Result<String> {
    let no_terminal = |error| {
        io::Error::other(format!(
            "no terminal to ask on ({error}); --password-file and --password-env take it from elsewhere"
        ))
    };
    let password = rpassword::prompt_password("Password of the secret key: ").map_err(no_terminal)?;
    if is_new && rpassword::prompt_password("Once more: ").map_err(no_terminal)? != password {
        return Err(io::Error::other("the two are not the same"));
    }
    Ok(password)
}

fn secret_key(path: &Path, args: &SealArgs) -> io::Result<SecretKey> {
    let text = small_file(path)?;
    if !SecretKey::is_encrypted(&text).map_err(io::Error::other)? {
        return SecretKey::parse(&text, None).map_err(io::Error::other);
    }
    let password = password(args, false)?.unwrap_or_default();
    SecretKey::parse(&text, Some(&password)).map_err(io::Error::other)
}

fn sign_all(secret: &SecretKey, args: &SealArgs, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let mut exit = Exit::Complete;
    for path in &args.files {
        let name = path.display().to_string();
        let signed = match sign(secret, path, args) {
            Ok(signed) => signed,
            Err((error, how)) => {
                say(err, &format!("{name}: {error}"));
                exit = exit.worst(how);
                continue;
            }
        };
        if signed.state != State::Sound {
            say(err, &format!("{name}: signed as it is, although it is not sound: see `casebook verify`"));
            exit = exit.worst(Exit::Incomplete);
        }
        let beside = signature_path(path).display().to_string();
        let (beside, comment) = (Safe(beside.as_bytes()), Safe(signed.comment.as_bytes()));
        if let Err(error) = writeln!(out, "{beside}: {comment}") {
            return Exit::of_output(&error);
        }
    }
    match out.flush() {
        Ok(()) => exit,
        Err(error) => Exit::of_output(&error),
    }
}

/// A signature that was written.
struct Signed {
    comment: String,
    state: State,
}

/// Hashes what is read; the file is signed in a second pass, and must not have changed meanwhile.
struct Hashed<'h> {
    file: File,
    sha256: &'h mut sha2::Sha256,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        use sha2::Digest as _;
        let n = self.file.read(buf)?;
        self.sha256.update(&buf[..n]);
        Ok(n)
    }
}

fn sign(secret: &SecretKey, path: &Path, args: &SealArgs) -> Result<Signed, (io::Error, Exit)> {
    use sha2::Digest as _;
    let unreadable = |error: io::Error| (error, Exit::Unreadable);
    let output = |error: io::Error| {
        let exit = Exit::of_output(&error);
        (error, exit)
    };
    if path.as_os_str() == "-" {
        let error = io::Error::other("a signature stands beside a file: standard input has no name for it");
        return Err((error, Exit::Usage));
    }
    let beside = signature_path(path);
    if beside.symlink_metadata().is_ok() && !args.force {
        let error = io::Error::other(format!("{} is there already; --force replaces it", beside.display()));
        return Err((error, Exit::Output));
    }
    let checked = check(path, None, None).map_err(unreadable)?;
    let mut parts: Vec<String> = args.comment.iter().cloned().collect();
    parts.extend(args.at.map(|ns| format!("timestamp:{}", ns / 1_000_000_000)));
    parts.push(format!("sha256:{}", hex(&checked.sha256)));
    let comment = parts.join("\t");
    let mut sha256 = sha2::Sha256::new();
    let file = File::open(path).map_err(unreadable)?;
    let text = match secret.sign(Hashed { file, sha256: &mut sha256 }, &comment) {
        Ok(text) => text,
        Err(error @ SignError::Failed(_)) => return Err(unreadable(io::Error::other(error))),
        Err(error) => return Err(unreadable(io::Error::other(error))),
    };
    if sha256.finalize() != checked.sha256.into() {
        return Err(unreadable(io::Error::other("it was changed while it was read; nothing was signed")));
    }
    write_file(&beside, &text, 0o644).map_err(output)?;
    let state = if checked.report.is_ours { checked.report.state() } else { State::Sound };
    Ok(Signed { comment, state })
}
