//! `casebook convert --for sysdig`: a capture that Debian's sysdig 0.29.3 reads, and what that costs.
//!
//! Rewriting is [`crate::sysdig`]; here are the options that make no sense with it, and the account of what was changed.

use std::io::Write;

use super::args::{ConvertArgs, Form, Target};
use super::convert::{failed, hand_on, open};
use super::exit::Exit;
use super::output::form;
use super::say;
use crate::blocks;
use crate::look;
use crate::progress::Progress;
use crate::source::Source;
use crate::sysdig::{Told, Translator};

/// Runs the subcommand.
pub(super) fn run(args: &ConvertArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    let name = args.capture.display().to_string();
    let unreadable = |err: &mut dyn Write, error: &dyn std::fmt::Display| {
        say(err, &format!("{name}: {error}"));
        Exit::Unreadable
    };
    let Some(target) = target(&args.target) else {
        say(err, "sysdig reads plain captures and gzip only: use a name in .scap or .scap.gz, or --to");
        return Exit::Usage;
    };
    let (mut stream, watch) = match Source::open_watched(&args.capture) {
        Ok((source, watch)) => (Translator::new(source), watch),
        Err(error) => return unreadable(err, &error),
    };
    match stream.peek(look::ENOUGH) {
        Ok(head) if head.starts_with(&blocks::SHB.to_le_bytes()) => {}
        Ok(head) => {
            let found = look::describe(head);
            let advice = "`casebook salvage` looks for what is left of one";
            return unreadable(err, &format!("no scap capture: it begins with {found}; {advice}"));
        }
        Err(error) => return unreadable(err, &error),
    }
    let mut output = match open(&target, out, err) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let mut progress = Progress::new(&name, stream.source().bytes_total(), true);
    loop {
        match stream.step(&mut output) {
            Ok(Ok(true)) => progress.update(|| stream.source().bytes_read(), stream.told().events()),
            Ok(Ok(false)) => break,
            Ok(Err(error)) => return failed(err, &target, &error),
            Err(error) => return unreadable(err, &error),
        }
    }
    progress.finish();
    let told = stream.finish();
    let origin = match watch.finish() {
        Ok(origin) => origin,
        Err(error) => return unreadable(err, &error),
    };
    hand_on(&mut output, &[origin], &args.target.custody.step("convert"), err);
    if let Err(error) = output.finish() {
        return failed(err, &target, &error);
    }
    report(&name, &told, err)
}

/// The target with a form that sysdig reads: the one that is asked for, or plain on standard output.
fn target(asked: &Target) -> Option<Target> {
    let mut target = asked.clone();
    let form = match asked.to {
        None if asked.output.as_os_str() == "-" => Some(Form::Plain),
        None => form(&asked.output),
        to => to,
    };
    target.to = form;
    (form != Some(Form::Zst)).then_some(target)
}

/// What was changed, so that nobody takes the result for the recording.
fn report(name: &str, told: &Told, err: &mut dyn Write) -> Exit {
    let lines = [
        (told.copied, "events copied as they are"),
        (told.single, "events of no call with unknown values filled in"),
        (told.paired, "calls with an enter half made from their exit: each is two events for sysdig"),
        (told.older, "of them under an older type of the same call"),
        (told.generic, "of them with their name alone: sysdig has no type for their arguments"),
        (told.nameless, "of them as `<unknown>`: sysdig has no name for the call"),
        (told.fd_types, "descriptors of the snapshot written as of an unsupported kind"),
        (told.cut, "texts cut to what sysdig reads"),
    ];
    say(err, &format!("{name}: {} events rewritten for sysdig 0.29.3", told.events()));
    for (count, what) in lines.into_iter().filter(|(count, _)| *count > 0) {
        say(err, &format!("{count:>10} {what}"));
    }
    for (symbol, count) in &told.left_out {
        say(err, &format!("{count:>10} left out: {symbol}"));
    }
    for (def, count) in told.ledger.findings() {
        say(err, &format!("{}: {count}  ({})", def.name, def.advice));
    }
    if told.ledger.is_damaged() { Exit::Incomplete } else { Exit::Complete }
}
