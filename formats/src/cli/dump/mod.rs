//! `casebook dump`: the bytes of a capture with their meaning, block by block.
//!
//! One line for each field ([`page`]): offset in the uncompressed stream, bytes, meaning. Lists show their entries field by
//! field ([`lists`]); events their header, the length of each parameter, and the values as stored, with the names that
//! the event table has for them. With `--pieces` the file itself is shown, as FORMAT.md describes it ([`pieces`]).

mod lists;
mod page;
mod pieces;

use std::io::Write;

use super::args::DumpArgs;
use super::exit::Exit;
use super::say;
use super::window::{NoPart, Window};
use crate::blocks::Kind;
use crate::blocks::event;
use crate::blocks::frame::{Block, Blocks};
use crate::ledger::{Counter, Ledger};
use crate::source::Source;
use page::Page;

/// Runs the subcommand.
pub(super) fn run(args: &DumpArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    if args.pieces {
        return pieces::run(args, out, err);
    }
    let name = args.capture.display().to_string();
    let (source, mut window) = match open(args, &name) {
        Ok(opened) => opened,
        Err(why) => {
            say(err, &why);
            return Exit::Unreadable;
        }
    };
    let mut page = Page::new(args.raw);
    let (mut stream, mut ledger) = (Blocks::new(source), Ledger::default());
    let (mut count, mut end, mut found) = (0, 0, false);
    while args.count.is_none_or(|limit| count < limit) {
        let block = match stream.next(&mut ledger) {
            Ok(Some(block)) => block,
            Ok(None) => match stream.next_run(&mut ledger) {
                Ok(Some(run)) => {
                    end = run.raw_offset;
                    continue;
                }
                Ok(None) => break,
                Err(error) => {
                    say(err, &format!("{name}: {error}"));
                    return Exit::Unreadable;
                }
            },
            Err(error) => {
                say(err, &format!("{name}: {error}"));
                return Exit::Unreadable;
            }
        };
        page.passed_over(end..block.offset);
        end = stream.offset();
        found = true;
        if !(window.is_open() || time_of(&stream, &block).is_some_and(|ts| window.holds(ts))) {
            page.text.clear();
            continue;
        }
        page.block(&stream, &block);
        count += 1;
        if let Err(error) = page.write(out) {
            return Exit::of_output(&error);
        }
    }
    if args.count.is_none_or(|limit| count < limit) && args.window.is_whole() {
        page.passed_over(end..stream.offset());
    }
    if let Err(error) = page.write(out).and_then(|()| out.flush()) {
        return Exit::of_output(&error);
    }
    for (def, count) in ledger.findings() {
        say(err, &format!("{name}: {}: {count}  ({})", def.name, def.advice));
    }
    let damage = [Counter::TruncatedInput, Counter::BrokenCompression, Counter::DamagedBlocks, Counter::DamagedFrames];
    if !found && args.window.is_whole() {
        say(err, &format!("{name}: no block of a scap capture"));
        Exit::Unreadable
    } else if damage.iter().any(|&counter| ledger.get(counter) > 0) {
        Exit::Incomplete
    } else {
        Exit::Complete
    }
}

/// The stream to show, and which events of it.
fn open(args: &DumpArgs, name: &str) -> Result<(Source, Window), String> {
    match args.window.part(&args.capture) {
        Ok(Some(part)) => Ok((part.file.source(&part.frames), part.window)),
        Ok(None) => {
            let source = Source::open(&args.capture).map_err(|error| format!("{name}: {error}"))?;
            Ok((source, args.window.window()))
        }
        Err(NoPart::Unreadable(error)) => Err(error.to_string()),
        Err(NoPart::Frames(why)) => Err(format!("{name}: {why}")),
    }
}

/// Time of an event block that can be read.
fn time_of(stream: &Blocks, block: &Block) -> Option<u64> {
    let Kind::Event(layout) = block.kind else { return None };
    event::decode(stream.bytes(block.body.clone()), layout).ok().map(|stored| stored.ts)
}
