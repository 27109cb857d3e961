//! `casebook salvage`: every sound block of a broken capture in a new one, and a list of what is missing.
//!
//! Blocks are written in today's framing, damaged ones left out; a section header is put before a stream that has lost
//! its own. Where something was lost, the new file's frame records say so too.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::args::SalvageArgs;
use super::convert::{failed, open};
use super::exit::Exit;
use super::output::Output;
use super::say;
use crate::blocks::event::{self, Fault};
use crate::blocks::frame::{Block, Blocks};
use crate::blocks::{self, Kind, section, write_block};
use crate::ledger::{ALL, Counter, Ledger};
use crate::look;
use crate::progress::Progress;
use crate::seekable::rescue::{Gaps, Rescue, is_ours};
use crate::source::Source;

/// What a run saved.
#[derive(Default)]
struct Saved {
    blocks: u64,
    events: u64,
    ledger: Ledger,
}

/// Runs the subcommand.
pub(super) fn run(args: &SalvageArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    let name = args.capture.display().to_string();
    let unreadable = |err: &mut dyn Write, error: &dyn std::fmt::Display| {
        say(err, &format!("{name}: {error}"));
        Exit::Unreadable
    };
    let (source, gaps) = match source(&args.capture) {
        Ok(source) => source,
        Err(error) => return unreadable(err, &error),
    };
    let mut saved = Saved::default();
    let mut stream = Blocks::new(source);
    let begun = match begin(&mut stream, &mut saved.ledger) {
        Ok(Ok(begun)) => begun,
        Ok(Err(found)) => {
            return unreadable(err, &format!("no sound block of a capture near its beginning, which is {found}"));
        }
        Err(error) => return unreadable(err, &error),
    };
    let mut output = match open(&args.target, out, err) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let mut progress = Progress::new(&name, stream.source().bytes_total(), true);
    if !begun {
        let mut body = Vec::new();
        section::encode(&mut body);
        if let Err(error) = write_block(&mut output, blocks::SHB, &body) {
            return failed(err, &args.target, &error);
        }
    }
    let mut told = Ledger::default();
    loop {
        let block = match stream.next(&mut saved.ledger) {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(error) => return unreadable(err, &error),
        };
        if let Err(error) = saved.take(&stream, &block, &mut output) {
            return failed(err, &args.target, &error);
        }
        tell(&mut output, &saved.ledger, &mut told);
        progress.update(|| stream.source().bytes_read(), saved.events);
    }
    tell(&mut output, &saved.ledger, &mut told);
    progress.finish();
    if let Err(error) = output.finish() {
        return failed(err, &args.target, &error);
    }
    saved.report(&name, gaps.as_ref(), err)
}

/// The stream to save from: of our own zstd files every frame for itself, of others as far as it can be unpacked.
fn source(path: &Path) -> io::Result<(Source, Option<Gaps>)> {
    if path.as_os_str() != "-" {
        let mut head = [0; 4];
        let len = File::open(path)?.read(&mut head)?;
        // A file whose first bytes are damaged may be ours all the same.
        let other = head[..len] == blocks::SHB.to_le_bytes() || head.starts_with(&[0x1F, 0x8B]);
        if !other && is_ours(File::open(path)?)? {
            let file = File::open(path)?;
            let total = file.metadata()?.len();
            let (rescue, gaps) = Rescue::new(file);
            return Ok((Source::new(Box::new(rescue), Some(total))?, Some(gaps)));
        }
    }
    Ok((Source::open(path)?, None))
}

/// Goes to the first sound block. True: it is a section header; false: there is none; or what is there instead.
fn begin(stream: &mut Blocks, ledger: &mut Ledger) -> io::Result<Result<bool, String>> {
    let head = stream.peek(look::ENOUGH, ledger)?;
    if head.starts_with(&blocks::SHB.to_le_bytes()) {
        return Ok(Ok(true));
    }
    let found = look::describe(head);
    Ok(if stream.find_first(ledger)? { Ok(false) } else { Err(found) })
}

/// Writes losses that are new into the frame under way.
fn tell(output: &mut Output, ledger: &Ledger, told: &mut Ledger) {
    if ledger == told {
        return;
    }
    for &counter in ALL {
        let new = ledger.get(counter).saturating_sub(told.get(counter));
        if new > 0 {
            output.lost(counter, new);
        }
    }
    told.clone_from(ledger);
}

impl Saved {
    fn take(&mut self, stream: &Blocks, block: &Block, output: &mut Output) -> io::Result<()> {
        let body = stream.bytes(block.body.clone());
        if let Kind::Event(layout) = block.kind {
            if event::decode(body, layout).is_err_and(|fault| fault == Fault::Damaged) {
                self.ledger.count(Counter::DamagedEvents);
                return Ok(());
            }
            self.events += 1;
        }
        let number = stream.bytes(block.body.start.saturating_sub(8)..block.body.start);
        let number = number.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        self.blocks += 1;
        write_block(output, number, body)
    }

    fn report(&self, name: &str, gaps: Option<&Gaps>, err: &mut dyn Write) -> Exit {
        say(err, &format!("{name}: {} blocks saved, {} of them events", self.blocks, self.events));
        let mut whole = true;
        if let Some(gaps) = gaps.and_then(|gaps| gaps.lock().ok()) {
            whole = gaps.is_empty();
            for gap in gaps.iter() {
                let place =
                    if gap.offset == u64::MAX { "end of the file".to_owned() } else { format!("byte {}", gap.offset) };
                say(err, &format!("missing at {place}: {}", gap.text));
            }
        }
        for (def, count) in self.ledger.findings() {
            whole = false;
            say(err, &format!("{}: {count}  ({})", def.name, def.advice));
        }
        if whole { Exit::Complete } else { Exit::Incomplete }
    }
}
