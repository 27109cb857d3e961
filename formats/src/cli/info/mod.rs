//! `casebook info`: what a capture holds, as a page for people ([`page`]) or one JSON object ([`json`]).
//!
//! One pass, so that pipes work too: the stream is read as every tool reads it ([`facts`], [`tally`]), and what a `.scap.zst` says
//! about itself is noted while its bytes go by ([`crate::origin`]).

mod facts;
mod json;
mod page;
mod tally;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use super::args::InfoArgs;
use super::exit::Exit;
use super::say;
use super::window::{NoPart, Window, WindowArgs};
use crate::capture::{CaptureReader, FormatError, Item};
use crate::progress::Progress;
use crate::seekable::Frame;
use facts::{Facts, Taking};

/// Runs the subcommand.
pub(super) fn run(args: &InfoArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    let mut exit = Exit::Complete;
    for (at, path) in args.captures.iter().enumerate() {
        let facts = match collect(path, &args.window) {
            Ok(facts) => facts,
            Err(why) => {
                say(err, &why);
                exit = exit.worst(Exit::Unreadable);
                continue;
            }
        };
        let name = path.display().to_string();
        let gap = if at > 0 { "\n" } else { "" };
        let text = if args.json {
            format!("{}\n", json::object(&facts, &name))
        } else {
            format!("{gap}{}", page::page(&facts, &name).unwrap_or_default())
        };
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            return Exit::of_output(&error);
        }
        exit = exit.worst(facts.judge());
    }
    exit
}

fn collect(path: &Path, asked: &WindowArgs) -> Result<Facts, String> {
    let part = asked.part(path).map_err(|why| match why {
        NoPart::Unreadable(error) => error.to_string(),
        NoPart::Frames(why) => format!("{}: {why}", path.display()),
    })?;
    let mut facts = Facts::default();
    let failed = |error: FormatError| error.to_string();
    if let Some(part) = part {
        let reader = part.file.read_these(&part.frames).map_err(failed)?;
        read(&mut facts, reader, part.window, path).map_err(failed)?;
        // What was left out has its size all the same.
        facts.file_bytes = part.file.size();
        facts.stream_bytes = part.file.frames().last().map_or(0, Frame::raw_end);
        facts.part = Some((part.frames.len() as u64, part.file.frames().len() as u64));
        return Ok(facts);
    }
    let (reader, watch) = CaptureReader::open_watched(path).map_err(failed)?;
    read(&mut facts, reader, asked.window(), path).map_err(failed)?;
    let (origin, passed) = watch.finish_all().map_err(|error| format!("{}: {error}", path.display()))?;
    facts.file_bytes = origin.parent.bytes;
    (facts.origin, facts.passed) = (Some(origin), passed);
    Ok(facts)
}

/// Takes in what a reader gives, events of the window only.
fn read(facts: &mut Facts, mut reader: CaptureReader, mut window: Window, path: &Path) -> Result<(), FormatError> {
    let mut progress = Progress::new(&path.display().to_string(), reader.bytes_total(), true);
    loop {
        let ControlFlow::Continue(()) = reader.events_at_hand(&mut Taking { facts, window: &mut window });
        let Some(item) = reader.next_item()? else { break };
        if !matches!(&item, Item::Event(event) if !window.holds(event.ts)) {
            facts.take(item);
        }
        progress.update(|| reader.bytes_read(), facts.tally.events);
    }
    facts.packing = reader.packing();
    facts.stream_bytes = reader.stream_bytes();
    facts.ledger = reader.ledger().clone();
    Ok(())
}
