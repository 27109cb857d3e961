//! Lines of several captures, parts and turns, whoever finishes first.

use std::thread;

use super::*;

#[derive(Default)]
struct Words(Vec<String>);

impl Talk for Words {
    fn begin(&mut self, index: usize) {
        self.0.push(format!("begin {index}"));
    }

    fn end(&mut self, index: usize, notes: &[String]) {
        self.0.push(format!("end {index} {notes:?}"));
    }
}

fn write_capture(sequencer: &Sequencer<'_>, index: usize, lines: usize) {
    let mut output = sequencer.capture(index);
    for line in 0..lines {
        assert!(output.line(format!("{index}:{line}").as_bytes()));
    }
    output.note(format!("note {index}"));
}

#[test]
fn order_is_that_of_the_captures_however_they_finish() {
    let (mut target, mut words) = (Vec::new(), Words::default());
    let sequencer = Sequencer::new(&mut target, &mut words, 3, false);
    let first = sequencer.capture(0);
    write_capture(&sequencer, 2, 2);
    write_capture(&sequencer, 1, 1);
    drop(first);
    assert!(sequencer.into_result().is_ok());
    assert_eq!(target, b"1:0\n2:0\n2:1\n");
    let expected = ["end 0 []", "begin 1", "end 1 [\"note 1\"]", "begin 2", "end 2 [\"note 2\"]"];
    assert_eq!(words.0, expected);
}

#[test]
fn parts_stand_in_order_and_can_be_dropped() {
    let (mut target, mut words) = (Vec::new(), Words::default());
    let sequencer = Sequencer::new(&mut target, &mut words, 2, false);
    sequencer.divide(0, 4);
    let write = |index, part, line: &str| {
        let mut output = sequencer.part(index, part);
        output.line(line.as_bytes());
        output.note(format!("note {part}"));
        output
    };
    drop(write(1, 0, "other"));
    drop(write(0, 2, "nobody's"));
    let second = write(0, 1, "second");
    drop(write(0, 0, "first"));
    let last = write(0, 3, "nobody's either");
    second.rest().drop();
    drop(last);
    drop(second);
    assert!(sequencer.into_result().is_ok());
    assert_eq!(target, b"first\nsecond\nother\n");
    let expected =
        ["begin 0", "end 0 [\"note 2\", \"note 0\", \"note 3\", \"note 1\"]", "begin 1", "end 1 [\"note 0\"]"];
    assert_eq!(words.0, expected);
}

#[test]
fn turns_stand_in_order_and_those_behind_the_last_are_dropped() {
    let (mut target, mut words) = (Vec::new(), Words::default());
    let sequencer = Sequencer::new(&mut target, &mut words, 3, false);
    write_capture(&sequencer, 2, 1);
    // Behind a capture that is not done, and as the first one.
    for index in [1, 0] {
        let mut own = sequencer.capture(index);
        let turns = own.by_turns();
        for turn in [1, 0, 4] {
            turns.turn(turn).line(format!("{index}: turn {turn}").as_bytes());
        }
        let mut last = turns.turn(2);
        last.line(b"the last one");
        last.rest().drop();
        for turn in [3, 7] {
            assert!(!turns.turn(turn).line(&vec![b'x'; CHUNK]));
        }
        drop(last);
        own.end_turns(2);
        own.note(format!("note {index}"));
        assert!(index == 0 || sequencer.lock().held > 5);
        assert!(own.line(b"behind"));
    }
    assert_eq!(sequencer.lock().held, 0);
    assert!(sequencer.into_result().is_ok());
    let turns = |index| format!("{index}: turn 0\n{index}: turn 1\nthe last one\nbehind\n");
    assert_eq!(String::from_utf8_lossy(&target), [turns(0), turns(1), "2:0\n".to_owned()].concat());
    assert_eq!(words.0[..2], ["begin 0", "end 0 [\"note 0\"]"]);
}

#[test]
fn more_than_the_limit_waits_for_its_turn() {
    let (mut target, mut words) = (Vec::new(), Words::default());
    let line = vec![b'x'; 1 << 20];
    let lines = HELD_LIMIT / line.len() + 3;
    let sequencer = Sequencer::new(&mut target, &mut words, 2, false);
    thread::scope(|scope| {
        let first = sequencer.capture(0);
        let worker = scope.spawn(|| {
            let mut second = sequencer.capture(1);
            (0..lines).all(|_| second.line(&line))
        });
        // The second capture cannot end before the first one has.
        thread::sleep(std::time::Duration::from_millis(50));
        assert!(!worker.is_finished());
        assert!(sequencer.lock().held <= HELD_LIMIT);
        drop(first);
        assert!(worker.join().is_ok_and(|written| written));
    });
    assert!(sequencer.into_result().is_ok());
    assert_eq!(target.len(), lines * (line.len() + 1));
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broken_output_stops_the_captures() {
    let (mut target, mut words) = (Closed, Words::default());
    let sequencer = Sequencer::new(&mut target, &mut words, 2, true);
    assert!(!sequencer.capture(0).line(b"x"));
    assert!(!sequencer.capture(1).line(b"x"));
    assert_eq!(sequencer.into_result().map_err(|error| error.kind()), Err(io::ErrorKind::BrokenPipe));
}

#[test]
fn what_a_terminal_would_obey_is_spelled_out() {
    let mut out = Vec::new();
    push_safe(&mut out, "a\x1b[31m\u{9b}2J\u{202e}\x7f é\u{e0041}\t".as_bytes());
    push_safe(&mut out, b"\xff|");
    assert_eq!(String::from_utf8_lossy(&out), "a\\u001b[31m\\u009b2J\\u202e\\u007f é\\udb40\\udc41\\u0009\u{fffd}|");
}
