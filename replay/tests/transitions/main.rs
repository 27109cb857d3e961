//! Each transition of the state on a synthetic capture: told with the trace builder, read as a file is, asked by fields.
//!
//! One short test each; the comment above it says the point. The families: who runs (`threads`), with which
//! descriptors (`descriptors`, `sockets`), as whom and what (`identity`), in which container (`containers`), and what
//! remains when events are missing (`losses`).

#![allow(clippy::unwrap_used)] // a story that cannot be told or read is a mistake of the test

mod containers;
mod descriptors;
mod identity;
mod losses;
mod sockets;
mod threads;

use std::io::Cursor;
use std::ops::ControlFlow;

use casebook_fixtures::{Proc, Task, Trace};
use casebook_formats::capture::CaptureReader;
use casebook_formats::ledger::Counter;
use casebook_replay::context::EventContext;
use casebook_replay::engine::Replay;
use casebook_replay::fields::Catalogue;
use casebook_rules::event::EventFields as _;
use casebook_rules::render;
use casebook_rules::schema::Schema as _;

/// The story replayed; every event that it shows goes to `look`.
fn replay(story: &Trace, mut look: impl FnMut(&EventContext<'_>)) -> (Replay, CaptureReader) {
    let bytes = Cursor::new(story.finish().unwrap());
    let mut reader = CaptureReader::from_reader(Box::new(bytes), "story").unwrap();
    let mut replay = Replay::new();
    let look = |context: &EventContext<'_>| {
        look(context);
        ControlFlow::Continue(())
    };
    replay.run(&mut reader, look).unwrap();
    (replay, reader)
}

/// Texts of the fields on one event, parted by ` | `; `<NA>` where a field is absent.
fn texts(context: &EventContext<'_>, fields: &str) -> String {
    let catalogue = Catalogue::new();
    let text = |name: &str| {
        let field = catalogue.parse("syscall", name).unwrap();
        let mut text = Vec::new();
        let display = context.display(&field, catalogue.display(&field));
        let known = render::extracted(&context.extract(&field), display, &mut text);
        if known { String::from_utf8(text).unwrap() } else { "<NA>".to_owned() }
    };
    fields.split(' ').map(text).collect::<Vec<_>>().join(" | ")
}

/// What the fields say on the last event of the story.
#[track_caller]
fn says(story: &Trace, fields: &str, expected: &str) {
    let mut last = String::new();
    replay(story, |context| last = texts(context, fields));
    assert_eq!(last, expected, "{fields}");
}

/// How often the replay of the story counts an anomaly.
fn counts(story: &Trace, counter: Counter) -> u64 {
    let (replay, reader) = replay(story, |_| ());
    replay.ledger(&reader).get(counter)
}

/// A machine with a shell of root: pid 500 in the session of its own, at home in `/root`.
fn desk() -> (Trace, Task) {
    let mut story = Trace::new("desk");
    let shell = story.process(Proc::new(500, "/bin/bash").argv(&["bash"]).cwd("/root").login(1000, 0x8800));
    (story, shell)
}

/// The task does something that changes nothing: an event to ask on.
fn acts(story: &mut Trace, task: Task) {
    story.emit(task.0, casebook_formats::tables::ppme::PPME_SYSCALL_GETUID_X, &[("uid", 0_i64.into())]);
}
