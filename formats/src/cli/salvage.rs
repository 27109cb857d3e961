//! `casebook salvage`: every sound block of a broken capture in a new one, and a list of what is missing.
//!
//! Blocks are written in today's framing, damaged ones left out; a section header is put before a stream that has lost
//! its own. Where something was lost, the new file's frame records say so too.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::args::SalvageArgs;
use super::convert::{failed, hand_on, open};
use super::exit::Exit;
use super::output::{Losses, Output};
use super::{say, time};
use crate::blocks::event::{self, Fault};
use crate::blocks::frame::{Block, Blocks};
use crate::blocks::{self, Kind, section, write_block};
use crate::custody::Origin;
use crate::ledger::{Counter, Ledger};
use crate::look;
use crate::origin::{self, Watch};
use crate::progress::Progress;
use crate::record::{Seal, hex};
use crate::seekable::rescue::{Findings, Found, Nature, Rescue, probe};
use crate::source::{self, Source};

/// What a run saved.
#[derive(Default)]
struct Saved {
    blocks: u64,
    events: u64,
    ledger: Ledger,
}

/// The damaged input.
struct Input {
    source: Source,
    total: Option<u64>,
    watch: Watch,
    findings: Findings,
}

/// Why a run ends early.
enum Stop {
    Input(String),
    Output(io::Error),
    /// It has been said already.
    Exit(Exit),
}

/// A run that came to its end.
struct Done {
    saved: Saved,
    found: Found,
    origin: Origin,
    seal: Option<Seal>,
}

/// Runs the subcommand.
pub(super) fn run(args: &SalvageArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    let name = args.capture.display().to_string();
    let done = match save(args, &name, &mut *out, err) {
        Ok(done) => done,
        Err(Stop::Exit(exit)) => return exit,
        Err(Stop::Output(error)) => return failed(err, &args.target, &error),
        Err(Stop::Input(why)) => {
            say(err, &format!("{name}: {why}"));
            return Exit::Unreadable;
        }
    };
    if args.json {
        let text = done.as_json(args);
        // Standard output takes the capture, or the report.
        let written = if args.target.output.as_os_str() == "-" {
            err.write_all(text.as_bytes())
        } else {
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
        if let Err(error) = written {
            return Exit::of_output(&error);
        }
    } else {
        done.report(&name, err);
    }
    if done.is_whole() { Exit::Complete } else { Exit::Incomplete }
}

/// Writes what is left of the input into the output.
fn save(
    args: &SalvageArgs,
    name: &str,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> Result<Done, Stop> {
    let unreadable = |error: io::Error| Stop::Input(error.to_string());
    let Input { source, total, watch, findings } = input(&args.capture).map_err(unreadable)?;
    let mut saved = Saved::default();
    let mut stream = Blocks::new(source);
    let begun = begin(&mut stream, &mut saved.ledger).map_err(unreadable)?.map_err(|found| {
        Stop::Input(match watch.bytes() {
            0 => "it is empty".to_owned(),
            _ => format!("no sound block of a capture near its beginning, which is {found}"),
        })
    })?;
    let mut output = open(&args.target, out, err).map_err(Stop::Exit)?;
    let mut progress = Progress::new(name, total, true);
    if !begun {
        let mut body = Vec::new();
        section::encode(&mut body);
        write_block(&mut output, blocks::SHB, &body).map_err(Stop::Output)?;
    }
    let mut told = Told::default();
    while let Some(block) = stream.next(&mut saved.ledger).map_err(unreadable)? {
        told.tell(&mut output, &saved.ledger, &findings);
        saved.take(&stream, &block, &mut output).map_err(Stop::Output)?;
        progress.update(|| watch.bytes(), saved.events);
    }
    told.tell(&mut output, &saved.ledger, &findings);
    progress.finish();
    drop(stream);
    let mut origin = watch.finish().map_err(unreadable)?;
    let mut found = findings.lock().map(|mut found| std::mem::take(&mut *found)).unwrap_or_default();
    // A damaged file is understood by whoever takes it apart, not by whoever watches it pass.
    origin.entries.append(&mut found.custody);
    origin.parent.root = origin.parent.root.or(found.root);
    hand_on(&mut output, std::slice::from_ref(&origin), &args.target.custody.step("salvage"), err);
    let seal = output.finish().map_err(Stop::Output)?;
    saved.ledger.add(Counter::MissingFrames, found.missing);
    saved.ledger.add(Counter::DoubtfulBytes, found.gaps.iter().map(|gap| gap.doubtful).sum());
    saved.ledger.add(Counter::MissingEvents, found.gaps.iter().map(|gap| gap.events).sum());
    Ok(Done { saved, found, origin, seal })
}

/// The stream to save from: of zstd files every frame for itself where that can be, of others as far as it can be
/// unpacked.
fn input(path: &Path) -> io::Result<Input> {
    let (inner, total) = source::open(path)?;
    let (watched, watch) = origin::watch(inner);
    let (nature, inner) = probe(Box::new(watched))?;
    if nature == Nature::Other {
        return Ok(Input { source: Source::new(inner, total)?, total, watch, findings: Findings::default() });
    }
    let (rescue, findings) = Rescue::new(inner, nature);
    Ok(Input { source: Source::new(Box::new(rescue), None)?, total, watch, findings })
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

/// What the frames of the new file have been told.
#[derive(Default)]
struct Told {
    losses: Losses,
    gaps: usize,
}

impl Told {
    /// Writes losses that are new into the frame under way.
    fn tell(&mut self, output: &mut Output, ledger: &Ledger, findings: &Findings) {
        if let Ok(found) = findings.lock() {
            for gap in found.gaps.iter().skip(self.gaps) {
                for (counter, count) in [
                    (Counter::MissingFrames, gap.frames),
                    (Counter::MissingEvents, gap.events),
                    (Counter::DoubtfulBytes, gap.doubtful),
                ] {
                    if count > 0 {
                        output.lost(counter, count);
                    }
                }
            }
            self.gaps = found.gaps.len();
        }
        self.losses.tell(ledger, output);
    }
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
}

impl Done {
    fn is_whole(&self) -> bool {
        self.found.gaps.is_empty() && self.saved.ledger.findings().next().is_none()
    }

    fn report(&self, name: &str, err: &mut dyn Write) {
        use std::fmt::Write as _;
        let Self { saved, found, .. } = self;
        say(err, &format!("{name}: {} blocks saved, {} of them events", saved.blocks, saved.events));
        for gap in &found.gaps {
            let place = gap.offset.map_or_else(|| "the end of the file".to_owned(), |offset| format!("byte {offset}"));
            let mut line = format!("at {place}: {}", gap.text);
            if gap.events > 0 {
                // Writing to a string cannot fail.
                let _ = write!(line, "; it held {} events", gap.events);
            }
            if gap.times.1 > 0 {
                let _ = write!(line, " from {} to {}", time::utc(gap.times.0), time::utc(gap.times.1));
            }
            say(err, &line);
        }
        for (def, count) in saved.ledger.findings() {
            say(err, &format!("{}: {count}  ({})", def.name, def.advice));
        }
    }

    fn as_json(&self, args: &SalvageArgs) -> String {
        let Self { saved, found, origin, seal } = self;
        let gaps = found.gaps.iter().map(|gap| {
            let times = (gap.times.1 > 0).then_some(gap.times);
            json!({
                "offset": gap.offset,
                "frames": gap.frames,
                "events": gap.events,
                "doubtful_bytes": gap.doubtful,
                "earliest_ns": times.map(|times| times.0),
                "latest_ns": times.map(|times| times.1),
                "text": gap.text,
            })
        });
        let object = json!({
            "file": args.capture.display().to_string(),
            "bytes": origin.parent.bytes,
            "sha256": hex(&origin.parent.sha256),
            "output": args.target.output.display().to_string(),
            "root": seal.as_ref().map(|seal| hex(&seal.root)),
            "whole": self.is_whole(),
            "blocks": saved.blocks,
            "events": saved.events,
            "missing_frames": found.missing,
            "gaps": gaps.collect::<Vec<_>>(),
            "ledger": saved.ledger.findings().map(|(def, count)| (def.name, count)).collect::<std::collections::BTreeMap<_, _>>(),
        });
        format!("{object}\n")
    }
}
