//! `casebook cat`: rotated files of one host, one after another in the order of time.
//!
//! Each file keeps its own section: header, snapshots, events. Readers start anew at each, with the processes that the
//! file itself lists, so nothing is assumed to have gone on unseen. Where two files do not meet, the new file says so.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::args::CatArgs;
use super::convert::{failed, hand_on, open};
use super::exit::Exit;
use super::output::{Losses, Output};
use super::say;
use super::stream::{Beginning, Stream};
use super::time::{span, utc};
use crate::custody::Origin;
use crate::ledger::{Counter, Ledger};
use crate::origin::Watch;
use crate::progress::Progress;

/// Events of one recorder may be out of order by as much, between its processors: no overlap yet.
const REORDER: u64 = 10_000_000;

/// A file to be read, with what it says of itself.
struct Input {
    path: PathBuf,
    beginning: Beginning,
    /// Kept open when it cannot be opened again.
    stream: Option<(Stream, Watch)>,
}

/// Runs the subcommand.
pub(super) fn run(args: &CatArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    if args.captures.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        say(err, "standard input can be read only once");
        return Exit::Usage;
    }
    let mut inputs = Vec::new();
    for path in &args.captures {
        match look_at(path, err) {
            Ok(input) => inputs.push(input),
            Err(exit) => return exit,
        }
    }
    // Files without any event stay where they were named: before the next one that has one.
    let mut next = u64::MAX;
    let mut order: Vec<(u64, Input)> = Vec::new();
    for input in inputs.into_iter().rev() {
        next = input.beginning.first.unwrap_or(next);
        order.push((next, input));
    }
    order.reverse();
    let named_in_order = order.is_sorted_by_key(|(first, _)| *first);
    order.sort_by_key(|(first, _)| *first);
    if !named_in_order {
        say(err, "the files are taken in the order of their first events, not as they were named");
    }
    let inputs: Vec<Input> = order.into_iter().map(|(_, input)| input).collect();
    if !one_host(&inputs, args.any_host, err) {
        return Exit::Usage;
    }
    let mut output = match open(&args.target, out, err) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let (max_gap, mut copy) = (args.max_gap, Copy::default());
    for input in inputs {
        if let Err(exit) = copy.file(input, max_gap, &mut output, args, err) {
            return exit;
        }
    }
    hand_on(&mut output, &copy.origins, &args.target.custody.step("cat"), err);
    if let Err(error) = output.finish() {
        return failed(err, &args.target, &error);
    }
    for (def, count) in copy.ledger.findings() {
        say(err, &format!("{}: {count}  ({})", def.name, def.advice));
    }
    if copy.ledger.is_damaged() { Exit::Incomplete } else { Exit::Complete }
}

fn look_at(path: &Path, err: &mut dyn Write) -> Result<Input, Exit> {
    let (mut stream, watch) = Stream::open_watched(path, err)?;
    let beginning = stream.beginning().map_err(|error| unreadable(&stream.name, &error, err))?;
    // Hundreds of open files with their buffers are more than a machine should have to hold.
    let stream = (path.as_os_str() == "-").then_some((stream, watch));
    Ok(Input { path: path.to_owned(), beginning, stream })
}

/// Whether the files can be one host's; says it where they are not, or where the host was booted in between.
fn one_host(inputs: &[Input], any_host: bool, err: &mut dyn Write) -> bool {
    /// Boot times are computed from two clocks, and differ a little from file to file.
    const SAME_BOOT: u64 = 2_000_000_000;
    let machines = inputs.iter().filter_map(|input| Some((&input.path, input.beginning.machine.as_ref()?)));
    let machines: Vec<_> = machines.collect();
    for pair in machines.windows(2) {
        let [(path, machine), (other_path, other)] = pair else { continue };
        if machine.hostname != other.hostname {
            let [host, other_host] = [machine, other].map(|machine| String::from_utf8_lossy(&machine.hostname));
            let text = format!("{} is of host {host}, {} of {other_host}", path.display(), other_path.display());
            if !any_host {
                say(
                    err,
                    &format!("{text}: one capture tells of one host (--any-host puts them together all the same)"),
                );
                return false;
            }
            say(err, &text);
        } else if machine.boot_ts > 0 && other.boot_ts > 0 && machine.boot_ts.abs_diff(other.boot_ts) > SAME_BOOT {
            let text = format!("the host was booted between {} and {}", path.display(), other_path.display());
            say(err, &format!("{text} (at {})", utc(other.boot_ts)));
        }
    }
    true
}

/// What has been copied so far.
#[derive(Default)]
struct Copy {
    /// Latest time, and the file that it is from.
    last: Option<(u64, String)>,
    ledger: Ledger,
    losses: Losses,
    origins: Vec<Origin>,
}

impl Copy {
    fn file(
        &mut self,
        input: Input,
        max_gap: u64,
        output: &mut Output,
        args: &CatArgs,
        err: &mut dyn Write,
    ) -> Result<(), Exit> {
        let (mut stream, watch) = match input.stream {
            Some(opened) => opened,
            None => Stream::open_watched(&input.path, err)?,
        };
        self.join(&stream.name, input.beginning.first, max_gap, output, err);
        let name = stream.name.clone();
        let mut progress = Progress::new(&name, stream.bytes().1, true);
        let (mut events, mut last) = (0, self.last.as_ref().map(|(last, _)| *last));
        while let Some(piece) = stream.next().map_err(|error| unreadable(&name, &error, err))? {
            piece.write(output).map_err(|error| failed(err, &args.target, &error))?;
            events += u64::from(piece.is_event());
            last = last.max(piece.ts);
            self.losses.tell(&stream.ledger, output);
            progress.update(|| stream.bytes().0, events);
        }
        self.losses.tell(&stream.ledger, output);
        self.losses = Losses::default();
        progress.finish();
        self.ledger.merge(&stream.ledger);
        // The watch reads what is left of the input: nobody else may by then.
        drop(stream);
        self.origins.push(watch.finish().map_err(|error| unreadable(&name, &error, err))?);
        self.last = last.map(|last| (last, name));
        Ok(())
    }

    /// Says how a file follows the one before it.
    fn join(&mut self, name: &str, first: Option<u64>, max_gap: u64, output: &mut Output, err: &mut dyn Write) {
        let (Some((last, before)), Some(first)) = (&self.last, first) else { return };
        let (counter, text) = if first > last.saturating_add(max_gap) {
            (Counter::FileGaps, format!("nothing is known of {} between", span(first - last)))
        } else if first.saturating_add(REORDER) < *last {
            (Counter::FileOverlaps, format!("{} are in both", span(last - first)))
        } else {
            return;
        };
        say(err, &format!("{text} {before} and {name}"));
        self.ledger.count(counter);
        output.lost(counter, 1);
    }
}

fn unreadable(name: &str, error: &std::io::Error, err: &mut dyn Write) -> Exit {
    say(err, &format!("{name}: {error}"));
    Exit::Unreadable
}
