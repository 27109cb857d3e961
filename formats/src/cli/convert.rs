//! `casebook convert`: the same stream in another wrapping, byte for byte. Rewriting for old readers: [`super::sysdig`].

use std::io::Write;
use std::path::Path;

use super::args::{ConvertArgs, Reader, Target};
use super::exit::Exit;
use super::output::{Output, Refusal};
use super::{say, sysdig};
use crate::blocks;
use crate::custody::{self, Entry, Origin};
use crate::ledger::Counter;
use crate::limits::READ_BUFFER;
use crate::look;
use crate::progress::Progress;
use crate::source::{Chunk, Source};

/// Runs the subcommand.
pub(super) fn run(args: &ConvertArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    if let Some(Reader::Sysdig) = args.reader {
        return sysdig::run(args, out, err);
    }
    let name = args.capture.display().to_string();
    let (mut source, watch) = match Source::open_watched(&args.capture) {
        Ok(opened) => opened,
        Err(error) => {
            say(err, &format!("{name}: {error}"));
            return Exit::Unreadable;
        }
    };
    let mut head = vec![0; READ_BUFFER];
    let (mut len, mut end) = (0, None);
    while len < look::ENOUGH && end.is_none() {
        match source.read(&mut head[len..]) {
            Ok(Chunk::Bytes(n)) => len += n,
            Ok(chunk) => end = Some(chunk),
            Err(error) => return unreadable(err, &name, &error),
        }
    }
    head.truncate(len);
    if !head.starts_with(&blocks::SHB.to_le_bytes()) {
        let found = look::describe(&head);
        say(
            err,
            &format!(
                "{name}: no scap capture: it begins with {found}; `casebook salvage` looks for what is left of one"
            ),
        );
        return Exit::Unreadable;
    }
    let mut output = match open(&args.target, out, err) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let mut progress = Progress::new(&name, source.bytes_total(), true);
    let (mut buffer, mut bytes) = (head, len);
    loop {
        if let Err(error) = output.write_all(&buffer[..bytes]) {
            return failed(err, &args.target, &error);
        }
        buffer.resize(READ_BUFFER, 0);
        progress.show(source.bytes_read(), 0);
        let chunk = match end.take() {
            Some(chunk) => Ok(chunk),
            None => source.read(&mut buffer),
        };
        match chunk {
            Ok(Chunk::Bytes(n)) => bytes = n,
            Ok(last) => {
                end = Some(last);
                break;
            }
            Err(error) => return unreadable(err, &name, &error),
        }
    }
    let lost = match end {
        Some(Chunk::Cut) => Some((Counter::TruncatedInput, "the compressed stream is cut off")),
        Some(Chunk::Broken) => Some((Counter::BrokenCompression, "the compressed stream is broken")),
        _ => None,
    };
    if let Some((counter, what)) = lost {
        output.lost(counter, 1);
        say(err, &format!("{name}: {what}; everything before that place was converted"));
    }
    progress.finish();
    drop(source);
    let origin = match watch.finish() {
        Ok(origin) => origin,
        Err(error) => return unreadable(err, &name, &error),
    };
    hand_on(&mut output, &[origin], &args.target.custody.step("convert"), err);
    match output.finish() {
        Ok(_) if lost.is_some() => Exit::Incomplete,
        Ok(_) => Exit::Complete,
        Err(error) => failed(err, &args.target, &error),
    }
}

/// Writes the custody entries of the new file, or says that it has no place for those of its parents.
pub(super) fn hand_on(output: &mut Output, origins: &[Origin], step: &Entry, err: &mut dyn Write) {
    let had_entries = origins.iter().any(|origin| !origin.entries.is_empty());
    if !output.custody(custody::derive(origins, step)) && had_entries {
        say(err, "custody entries stay behind: only .scap.zst has a place for them");
    }
}

fn unreadable(err: &mut dyn Write, name: &str, error: &std::io::Error) -> Exit {
    say(err, &format!("{name}: {error}"));
    Exit::Unreadable
}

/// Opens the output or says why not.
pub(super) fn open<'o>(
    target: &Target,
    out: &'o mut (dyn Write + Send),
    err: &mut dyn Write,
) -> Result<Output<'o>, Exit> {
    Output::open(target, out).map_err(|refusal| refused(refusal, &target.output, err))
}

/// Says why there is no output.
pub(super) fn refused(refusal: Refusal, output: &Path, err: &mut dyn Write) -> Exit {
    let name = output.display();
    let (text, exit) = match refusal {
        Refusal::Form => (
            "the name does not say what to write: use --to, or a name in .scap.zst, .scap or .scap.gz".to_owned(),
            Exit::Usage,
        ),
        Refusal::Exists => ("is there already; --force replaces it".to_owned(), Exit::Output),
        Refusal::Io(error) => (error.to_string(), Exit::of_output(&error)),
    };
    say(err, &format!("{name}: {text}"));
    exit
}

/// Says why the output could not be written.
pub(super) fn failed(err: &mut dyn Write, target: &Target, error: &std::io::Error) -> Exit {
    let exit = Exit::of_output(error);
    if exit != Exit::BrokenPipe {
        say(err, &format!("{}: {error}", target.output.display()));
    }
    exit
}
