//! `casebook split`: a capture in several files, by size or by time.
//!
//! Every part is a capture of its own: it begins with the section header and the snapshots of the section that it
//! continues. Those tell of the section's beginning, not of the moment at which the part begins: processes, descriptors and
//! users that came since are unknown to later parts, as scap has no other place for them. A part that knows the state at
//! its beginning is made by `casebook-replay slice`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::{Form, SplitArgs, Target};
use super::convert::refused;
use super::exit::Exit;
use super::output::{Losses, Output, form};
use super::say;
use super::stream::{Piece, Stream};
use crate::blocks::Kind;
use crate::custody::{self, Origin};
use crate::limits::MAX_BLOCK;
use crate::origin;
use crate::progress::Progress;
use crate::terminal::Safe;

/// Most parts of one capture: more of them are a mistake in the options.
const MAX_PARTS: u64 = 9999;

/// Runs the subcommand.
pub(super) fn run(args: &SplitArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    if args.target.output.as_os_str() == "-" {
        say(
            err,
            "several files cannot go to standard output: name the first one with -o, the others are numbered after it",
        );
        return Exit::Usage;
    }
    let Some(form) = args.target.to.or_else(|| form(&args.target.output)) else {
        return refused(super::output::Refusal::Form, &args.target.output, err);
    };
    // Each part is finished before all of the input has been read; its custody entry names the whole of it.
    let origin = if form == Form::Zst && args.capture.as_os_str() != "-" {
        match origin::of_file(&args.capture) {
            Ok(origin) => Some(origin),
            Err(error) => {
                say(err, &format!("{}: {error}", args.capture.display()));
                return Exit::Unreadable;
            }
        }
    } else {
        None
    };
    let stream = match Stream::open(&args.capture, err) {
        Ok(stream) => stream,
        Err(exit) => return exit,
    };
    let progress = Progress::new(&stream.name, stream.bytes().1, true);
    let (opening, begun) = (Vec::new(), None);
    let mut split = Split { args, form, progress, origin, part: None, parts: 0, begun, opening, whole: true };
    match split.all(stream, out, err) {
        Ok(exit) | Err(exit) => exit,
    }
}

struct Split<'a> {
    args: &'a SplitArgs,
    form: Form,
    progress: Progress,
    /// What the input is; a pipe is known only when it has ended.
    origin: Option<Origin>,
    part: Option<Part>,
    parts: u64,
    /// Time of the first event.
    begun: Option<u64>,
    /// Header and snapshots of the section under way, for the parts to begin with.
    opening: Vec<Piece<'static>>,
    /// The opening has been small enough to be kept.
    whole: bool,
}

/// A file under way.
struct Part {
    output: Output<'static>,
    name: PathBuf,
    losses: Losses,
    bytes: u64,
    events: u64,
    /// Which interval of time it is for.
    slot: u64,
    from: Option<u64>,
    to: Option<u64>,
}

impl Split<'_> {
    fn all(&mut self, mut stream: Stream, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Exit> {
        let (mut events, name) = (0, stream.name.clone());
        loop {
            let piece = stream.next().map_err(|error| {
                say(err, &format!("{name}: {error}"));
                Exit::Unreadable
            })?;
            let Some(piece) = piece else { break };
            if piece.is_event() {
                events += 1;
                self.event(&piece, out, err)?;
            } else {
                self.snapshot(piece, err)?;
            }
            if let Some(part) = &mut self.part {
                part.losses.tell(&stream.ledger, &mut part.output);
            }
            self.progress.update(|| stream.bytes().0, events);
        }
        self.progress.finish();
        if self.part.is_none() {
            self.begin(None, err)?;
        }
        self.close(out, err)?;
        if self.parts > 1 {
            let note = "later parts know the processes of the section's beginning and what their own events tell";
            say(err, &format!("{} parts; {note} (`casebook-replay slice` knows more)", self.parts));
        }
        for (def, count) in stream.ledger.findings() {
            say(err, &format!("{}: {count}  ({})", def.name, def.advice));
        }
        Ok(if stream.ledger.is_damaged() { Exit::Incomplete } else { Exit::Complete })
    }

    /// A block before the events of a section, or between them.
    fn snapshot(&mut self, piece: Piece<'_>, err: &mut dyn Write) -> Result<(), Exit> {
        if piece.kind == Kind::Section {
            self.opening.clear();
            self.whole = true;
        }
        if let Some(part) = &mut self.part {
            part.put(&piece, err)?;
        }
        let kept: u64 = self.opening.iter().map(Piece::len).sum();
        if self.whole && kept + piece.len() > MAX_BLOCK as u64 {
            self.whole = false;
            let text = "the snapshots are too large to be repeated: later parts begin with some of them";
            self.progress.suspend(|| say(err, text));
        }
        if self.whole {
            self.opening.push(piece.kept());
        }
        Ok(())
    }

    fn event(&mut self, piece: &Piece<'_>, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Exit> {
        if self.begun.is_none() {
            self.begun = piece.ts;
        }
        if self.part.as_ref().is_some_and(|part| self.is_full(part, piece)) {
            self.close(out, err)?;
        }
        if self.part.is_none() {
            self.begin(piece.ts, err)?;
        }
        let Some(part) = &mut self.part else { return Ok(()) };
        part.put(piece, err)?;
        part.events += 1;
        if let Some(ts) = piece.ts {
            part.from = Some(part.from.map_or(ts, |from| from.min(ts)));
            part.to = part.to.max(Some(ts));
        }
        Ok(())
    }

    fn is_full(&self, part: &Part, next: &Piece<'_>) -> bool {
        let size = self.args.size.is_some_and(|mib| part.events > 0 && part.bytes + next.len() > mib << 20);
        // An event that comes late, out of order, stays with its neighbours.
        size || next.ts.is_some_and(|ts| self.slot(Some(ts)) > part.slot)
    }

    /// The interval that a time falls into.
    fn slot(&self, ts: Option<u64>) -> u64 {
        match (self.args.every, self.begun, ts) {
            (Some(every), Some(begun), Some(ts)) => ts.saturating_sub(begun) / every.max(1),
            _ => 0,
        }
    }

    fn begin(&mut self, ts: Option<u64>, err: &mut dyn Write) -> Result<(), Exit> {
        if self.parts == MAX_PARTS {
            say(err, &format!("more than {MAX_PARTS} parts: choose larger ones; those written so far stay"));
            return Err(Exit::Usage);
        }
        self.parts += 1;
        let name = numbered(&self.args.target.output, self.parts);
        let target = Target { output: name.clone(), to: Some(self.form), ..self.args.target.clone() };
        let output = Output::file(&target, self.form).map_err(|refusal| refused(refusal, &name, err))?;
        let slot = self.slot(ts);
        let mut part =
            Part { output, name, losses: Losses::default(), bytes: 0, events: 0, slot, from: None, to: None };
        for piece in &self.opening {
            part.put(piece, err)?;
        }
        self.part = Some(part);
        Ok(())
    }

    /// Completes the part under way and tells its name.
    fn close(&mut self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Exit> {
        let Some(mut part) = self.part.take() else { return Ok(()) };
        let mut step = self.args.target.custody.step("split");
        step.note.get_or_insert_with(|| format!("part {}", self.parts));
        part.output.custody(custody::derive(self.origin.as_slice(), &step));
        let Part { output, name, bytes, events, from, to, .. } = part;
        output.finish().map_err(|error| unwritable(&name, &error, err))?;
        let line = if self.args.json {
            let file = name.to_string_lossy();
            json!({ "file": file, "events": events, "stream_bytes": bytes, "earliest_ns": from, "latest_ns": to })
                .to_string()
        } else {
            Safe(name.as_os_str().as_encoded_bytes()).to_string()
        };
        let told = self.progress.suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()));
        told.map_err(|error| Exit::of_output(&error))
    }
}

impl Part {
    fn put(&mut self, piece: &Piece<'_>, err: &mut dyn Write) -> Result<(), Exit> {
        self.bytes += piece.len();
        piece.write(&mut self.output).map_err(|error| unwritable(&self.name, &error, err))
    }
}

fn unwritable(name: &Path, error: &io::Error, err: &mut dyn Write) -> Exit {
    say(err, &format!("{}: {error}", name.display()));
    Exit::of_output(error)
}

/// `incident-002.scap.zst` for the second part of `incident.scap.zst`.
fn numbered(path: &Path, number: u64) -> PathBuf {
    const ENDINGS: [&str; 5] = [".scap.zst", ".scap.gz", ".scap", ".zst", ".gz"];
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let ending = ENDINGS.into_iter().find(|ending| name.len() > ending.len() && name.ends_with(ending)).unwrap_or("");
    let mut numbered = OsString::from(&name[..name.len() - ending.len()]);
    numbered.push(format!("-{number:03}{ending}"));
    path.with_file_name(numbered)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::numbered;

    #[test]
    fn parts_are_numbered_before_the_ending() {
        for (path, expected) in [
            ("out/x.scap.zst", "out/x-002.scap.zst"),
            ("x.scap", "x-002.scap"),
            ("a.b.scap.gz", "a.b-002.scap.gz"),
            ("noending", "noending-002"),
        ] {
            assert_eq!(numbered(Path::new(path), 2), Path::new(expected));
        }
        assert_eq!(numbered(Path::new("x.scap"), 1234), Path::new("x-1234.scap"));
    }
}
