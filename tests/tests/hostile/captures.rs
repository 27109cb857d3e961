//! Captures that were tampered with: every one of them is replayed to its end, asked for everything, and what was
//! damaged is counted.

use std::io::Cursor;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use casebook_formats::capture::CaptureReader;
use casebook_formats::ledger::Ledger;
use casebook_replay::context::EventContext;
use casebook_replay::detect::{Detector, Form};
use casebook_replay::engine::Replay;
use casebook_replay::fields::{self, Catalogue};
use casebook_rules::schema::FieldRef;
use casebook_tests::corpora::Corpora;

use crate::mutation::{Damage, Dice, blocks, mutate};

/// How many captures are made; more of them by hand.
const ROUNDS_VARIABLE: &str = "CASEBOOK_HOSTILE_ROUNDS";
/// The first of them; its number is the seed.
const FIRST_VARIABLE: &str = "CASEBOOK_HOSTILE_FIRST";
const ROUNDS: u64 = 100;
/// Largest capture of a corpus that takes part.
const SMALL: u64 = 30_000;
/// No small capture takes as long, whatever was done to it, even on a machine busy with other things.
const PATIENCE: Duration = Duration::from_mins(1);

/// Every field, in every form that it can be asked for.
fn every_field(catalogue: Catalogue) -> Vec<FieldRef> {
    let mut all = Vec::new();
    for row in catalogue.rows() {
        let name = row.def.name;
        let forms = [
            "",
            "[0]",
            "[1]",
            "[999999999999]",
            "[name]",
            "[/]",
            ".name",
            ".path",
            ".flags",
            ".src",
            ".dst",
            ".0",
            ".open",
        ];
        all.extend(forms.iter().filter_map(|form| catalogue.parse("syscall", &format!("{name}{form}")).ok()));
    }
    all
}

struct Attack {
    catalogue: Catalogue,
    fields: Vec<FieldRef>,
    detector: Detector,
}

impl Attack {
    fn new() -> Self {
        let catalogue = Catalogue::new();
        Self { fields: every_field(catalogue), catalogue, detector: Detector::built_in().unwrap() }
    }

    /// Replays a capture and looks at everything; the ledger at its end, `None` when it cannot be opened.
    fn replay(&self, bytes: Vec<u8>) -> Option<Ledger> {
        let mut reader = CaptureReader::from_reader(Box::new(Cursor::new(bytes)), "hostile").ok()?;
        let mut replay = Replay::new();
        let mut ledger = Ledger::default();
        let (mut text, mut json) = (self.detector.session(Form::Text), self.detector.session(Form::Json));
        let mut matched = Vec::new();
        let _ = replay.run(&mut reader, |context| {
            self.look(context);
            text.matching(context, &mut ledger, &mut matched);
            for &rule in &matched {
                let mut line = Vec::new();
                text.render(rule, context, text.untold(rule, context), &mut line);
                line.clear();
                json.render(rule, context, text.untold(rule, context), &mut line);
                let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
                assert!(line["rule"].is_string());
            }
            json.matching(context, &mut ledger, &mut matched);
            ControlFlow::Continue(())
        });
        ledger.merge(&replay.ledger(&reader));
        Some(ledger)
    }

    fn look(&self, context: &EventContext<'_>) {
        for field in &self.fields {
            std::hint::black_box(fields::text(&self.catalogue, context, field));
        }
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// The example, and small captures of the corpora where there are some.
fn seeds() -> Vec<Vec<Vec<u8>>> {
    let mut seeds = vec![blocks(casebook_fixtures::EXAMPLE)];
    match Corpora::from_environment().unwrap() {
        None => {
            // Past the capture of passing tests.
            writeln!(std::io::stderr(), "skipped the corpora: CASEBOOK_CORPORA is not set").ok();
        }
        Some(corpora) => {
            let small = |path: &std::path::Path| path.metadata().is_ok_and(|meta| meta.len() < SMALL);
            for capture in corpora.captures.iter().filter(|capture| small(&capture.path)) {
                let bytes = std::fs::read(&capture.path).unwrap();
                let bytes = zstd::decode_all(bytes.as_slice()).unwrap_or(bytes);
                let found = blocks(&bytes);
                if (10..2000).contains(&found.len()) {
                    seeds.push(found);
                }
            }
        }
    }
    seeds
}

#[test]
fn tampered_captures_are_replayed_to_their_end() {
    let attack = Attack::new();
    let seeds = seeds();
    let first = number(FIRST_VARIABLE, 0);
    for round in first..first + number(ROUNDS_VARIABLE, ROUNDS) {
        let mut dice = Dice::new(round);
        let seed = &seeds[dice.below(seeds.len())];
        let other = &seeds[dice.below(seeds.len())];
        let (bytes, damage) = mutate(&mut dice, seed, other);
        let began = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attack.replay(bytes)));
        let Ok(ledger) = result else { panic!("round {round} panicked: {FIRST_VARIABLE}={round} makes it again") };
        assert!(began.elapsed() < PATIENCE, "round {round} took {:?}", began.elapsed());
        if damage == Damage::Frame
            && let Some(ledger) = ledger
        {
            assert!(ledger.findings().count() > 0, "round {round} lost something in silence");
        }
    }
}

#[test]
fn the_capture_itself_is_taken_apart_and_put_together_unchanged() {
    assert_eq!(blocks(casebook_fixtures::EXAMPLE).concat(), casebook_fixtures::EXAMPLE);
}
