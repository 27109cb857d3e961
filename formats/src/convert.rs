//! From the event as stored to the normal form (`reference/scap-format.md` section 10).
//!
//! Which events are delivered, merged or dropped is exactly what libs 0.20+ does, so that event numbers agree. What
//! differs: a lost enter half leaves its parameters unknown where libs makes up zeros, an enter half of another call
//! is ignored where libs ends the file, and parameter counts without a rule are used as far as they go.
//!
//! An event that is current already costs one walk over its lengths. Others are kept as a list of [`Value`]s while
//! they pass through the conversion table; bytes are copied once, at the end, and only when a parameter comes from
//! elsewhere than the event's own payload.

mod plan;
mod value;

use crate::blocks::event::{Head, Stored};
use crate::container;
use crate::event::{EventType, ParamRange};
use crate::halves::{Ended, Half, Halves};
use crate::ledger::{Counter, Ledger};
use crate::limits::{MAX_CONVERSION_STEPS, MAX_PARAMS};
use crate::tables::{self, Action, Conversion, ParamType, Step, ppme};
use plan::{Class, PLANS, Plan};
use value::{Value, ZEROS, cut, own_ranges, slice};

/// A normal-form event, as ranges of the payload or of the scratch buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normal {
    pub etype: EventType,
    pub enter_ts: Option<u64>,
    /// Ranges point into [`Converter::scratch`], not into the payload.
    pub in_scratch: bool,
}

/// An event that is of today's form as it is stored.
pub(crate) struct Pass<'c> {
    pub ranges: &'c [ParamRange],
    /// What waits, where anything does: [`leave`] is still to be called.
    pub halves: Option<&'c mut Halves>,
}

/// What became of a stored event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// Merged into a later event, or of no use today.
    Gone,
    /// Its lengths do not fit its payload.
    Damaged,
    /// To be delivered; its parameters are in [`Converter::ranges`].
    Deliver(Normal),
}

/// Conversion state of one section: the enter halves that wait for their exits, and reused buffers.
#[derive(Default)]
pub(crate) struct Converter {
    halves: Halves,
    ranges: Vec<ParamRange>,
    passed: Passed,
    scratch: Vec<u8>,
    values: Vec<Value>,
    previous: Vec<Value>,
    /// Parameters of the oldest container event, for its JSON.
    container: [ParamRange; 4],
    /// Offset of the enter half that the last event was looked at with.
    used: Option<u64>,
}

/// Parameters of the event that passed last: a place for each, so that nothing has to grow.
struct Passed([ParamRange; MAX_PARAMS]);

impl Default for Passed {
    fn default() -> Self {
        Self([ParamRange::default(); MAX_PARAMS])
    }
}

impl Passed {
    /// Turns the `count` lengths that `payload` begins with into ranges; `None` where they reach beyond its end.
    #[allow(clippy::inline_always)] // part of `Converter::pass`
    #[inline(always)]
    fn lay_out(&mut self, payload: &[u8], count: usize) -> Option<&[ParamRange]> {
        let lengths = payload.get(..2 * count)?.as_chunks::<2>().0;
        let ranges = self.0.get_mut(..count)?;
        let mut start = 2 * count as u32;
        for (range, len) in ranges.iter_mut().zip(lengths) {
            let len = u32::from(u16::from_le_bytes(*len));
            *range = ParamRange { start, len };
            start += len;
        }
        (start as usize <= payload.len()).then_some(ranges)
    }
}

/// What waits of the thread of an event that passed is done with: the call is over, or the thread is.
pub(crate) fn leave(halves: &mut Halves, tid: i64, etype: EventType) -> Option<Ended> {
    let is_call = PLANS.get(usize::from(etype.0)).is_some_and(|plan| plan.call);
    let ended = if is_call { halves.end(tid, etype) } else { None };
    if etype == ppme::PPME_PROCEXIT_1_E {
        halves.forget(tid);
    }
    ended
}

/// What is left of an event after its conversion chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Drop,
    Store,
    StoreAndPass,
    Pass,
}

impl Converter {
    /// Parameters of the event that passed last, of which there were so many.
    #[inline]
    pub(crate) fn passed(&self, count: usize) -> &[ParamRange] {
        self.passed.0.get(..count).unwrap_or_default()
    }

    /// Parameters of the event converted last.
    #[inline]
    pub(crate) fn ranges(&self) -> &[ParamRange] {
        &self.ranges
    }

    /// Bytes of converted parameters.
    #[inline]
    pub(crate) fn scratch(&self) -> &[u8] {
        &self.scratch
    }

    /// The enter halves that wait; all that conversion remembers from event to event.
    pub(crate) fn halves(&self) -> &Halves {
        &self.halves
    }

    /// A converter that remembers these enter halves.
    pub(crate) fn resume(halves: Halves) -> Self {
        Self { halves, ..Self::default() }
    }

    /// Forgets all enter halves: thread ids mean something else in a new section.
    pub(crate) fn clear(&mut self) {
        self.halves.clear();
    }

    /// Where in the uncompressed stream the enter half stands that the event converted last has ended, whether it was of
    /// use or not.
    pub(crate) fn used(&self) -> Option<u64> {
        self.used
    }

    #[inline]
    fn end(&mut self, tid: i64, exit: EventType) -> Option<u64> {
        if self.halves.is_empty() {
            return None;
        }
        let Ended { ts, at } = self.halves.end(tid, exit)?;
        self.used = Some(at);
        ts
    }

    /// Takes an event that is of today's form, as nearly all are. `None`, and nothing is changed that matters: it needs
    /// [`Converter::convert`].
    // In a loop over events, which keeps in registers what it would else hand over and take back.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(crate) fn pass(&mut self, head: &Head, payload: &[u8]) -> Option<Pass<'_>> {
        let Plan { plain: (least, most), .. } = *PLANS.get(usize::from(head.etype.0))?;
        if head.nparams < u32::from(least) || head.nparams > u32::from(most) {
            return None;
        }
        let ranges = self.passed.lay_out(payload, head.nparams as usize)?;
        Some(Pass { ranges, halves: if self.halves.is_empty() { None } else { Some(&mut self.halves) } })
    }

    /// Brings an event to the normal form; its block begins at offset `at` of the uncompressed stream.
    #[inline]
    pub(crate) fn convert(&mut self, stored: &Stored, at: u64, ledger: &mut Ledger) -> Outcome {
        self.used = None;
        let Some(&plan) = PLANS.get(stored.etype as usize) else { return Outcome::Gone };
        let etype = EventType(stored.etype);
        let (table, given) = (plan.params as usize, stored.nparams as usize);
        match plan.class {
            Class::Unused => return Outcome::Gone,
            Class::OldEnter => {
                if plan.call {
                    self.halves.note(stored.tid, etype, stored.ts, at);
                }
                return Outcome::Gone;
            }
            Class::Pass | Class::Exit if plan.class == Class::Pass || given == table => {
                if !own_ranges(stored, table, &mut self.ranges) {
                    return Outcome::Damaged;
                }
                if given > table {
                    ledger.count(Counter::SurplusParameters);
                }
                let enter_ts = if plan.call { self.end(stored.tid, etype) } else { None };
                self.after(etype, stored.tid);
                return Outcome::Deliver(Normal { etype, enter_ts, in_scratch: false });
            }
            Class::Pass | Class::Enter | Class::Exit | Class::OldExit => {}
        }
        self.convert_old(stored, at, plan, ledger)
    }

    /// Threads that are gone leave no enter half behind.
    #[inline]
    fn after(&mut self, etype: EventType, tid: i64) {
        if etype == ppme::PPME_PROCEXIT_1_E {
            self.halves.forget(tid);
        }
    }

    #[inline(never)]
    fn convert_old(&mut self, stored: &Stored, at: u64, plan: Plan, ledger: &mut Ledger) -> Outcome {
        let table = plan.params as usize;
        if !own_ranges(stored, table, &mut self.ranges) {
            return Outcome::Damaged;
        }
        if stored.nparams as usize > table {
            ledger.count(Counter::SurplusParameters);
        }
        self.values.clear();
        self.values.extend(self.ranges.iter().map(|&range| Value::Own(range)));
        let raw = EventType(stored.etype);
        let (etype, verdict) = self.chain(raw, stored.tid, ledger);
        let deliver = matches!(verdict, Verdict::Pass | Verdict::StoreAndPass);
        let in_scratch = deliver && self.assemble(stored);
        let mut enter_ts = None;
        if plan.class != Class::Enter {
            enter_ts = self.end(stored.tid, raw);
        } else if plan.call {
            self.remember(stored, at, etype, verdict);
        } else {
            self.halves.forget(stored.tid); // the forerunner of type 186: the thread is gone
        }
        if deliver { Outcome::Deliver(Normal { etype, enter_ts, in_scratch }) } else { Outcome::Gone }
    }

    /// Keeps an enter half: its time always, its parameters where the exit may need them.
    fn remember(&mut self, stored: &Stored, at: u64, etype: EventType, verdict: Verdict) {
        let keep = matches!(verdict, Verdict::Store | Verdict::StoreAndPass);
        let values = if keep { self.values.as_slice() } else { &[] };
        let parts = values.iter().map(|value| match value {
            Value::Own(range) => slice(stored.payload, *range),
            Value::Empty | Value::Half(_) | Value::Container => &[],
            Value::Zero(width) => &ZEROS[..*width as usize],
        });
        self.halves.store(stored.tid, Half::new(EventType(stored.etype), etype, stored.ts, at), parts);
    }

    /// Walks the conversion table from the stored form to today's. Leaves the parameters in `values`.
    fn chain(&mut self, mut etype: EventType, tid: i64, ledger: &mut Ledger) -> (EventType, Verdict) {
        let (mut irregular, mut lost) = (false, false);
        for _ in 0..MAX_CONVERSION_STEPS {
            let Some(plan) = PLANS.get(etype.0 as usize) else { break };
            match plan.class {
                Class::Unused | Class::OldEnter => return (etype, Verdict::Drop),
                Class::Pass => return finish(etype, Verdict::Pass, irregular, lost, ledger),
                Class::Exit if self.values.len() == plan.params as usize => {
                    return finish(etype, Verdict::Pass, irregular, lost, ledger);
                }
                Class::Exit | Class::OldExit | Class::Enter => {}
            }
            let Some(row) = self.row(etype, &mut irregular) else {
                // No rule for this type at all: show what there is.
                irregular = true;
                return finish(etype, Verdict::Pass, irregular, lost, ledger);
            };
            match &row.action {
                Action::Store => return finish(etype, Verdict::Store, irregular, lost, ledger),
                Action::StoreAndPass => return finish(etype, Verdict::StoreAndPass, irregular, lost, ledger),
                Action::Pass => return finish(etype, Verdict::Pass, irregular, lost, ledger),
                Action::AddParams(steps) => {
                    for &step in *steps {
                        let value = self.resolve(step, etype, etype, self.values.len(), tid, &mut lost);
                        self.values.push(value);
                    }
                }
                Action::ChangeType(target, steps) => {
                    std::mem::swap(&mut self.values, &mut self.previous);
                    self.values.clear();
                    for (index, &step) in steps.iter().enumerate() {
                        let value = self.resolve(step, etype, *target, index, tid, &mut lost);
                        self.values.push(value);
                    }
                    etype = *target;
                }
            }
        }
        finish(etype, Verdict::Drop, true, lost, ledger)
    }

    /// The rule for this type and parameter count. For a count without one, parameters are unknown up to the next
    /// count that has one (parameters were only ever appended), or else cut to the largest.
    fn row(&mut self, etype: EventType, irregular: &mut bool) -> Option<&'static Conversion> {
        let count = self.values.len();
        if let Some(row) = tables::conversion(etype, count) {
            return Some(row);
        }
        *irregular = true;
        let rows = tables::conversions(etype);
        let row = rows.iter().find(|row| row.nparams as usize > count).or(rows.last())?;
        self.values.resize(row.nparams as usize, Value::Empty);
        Some(row)
    }

    /// One instruction: parameter `index` of an event of type `target`, coming from one of type `from`.
    fn resolve(
        &mut self,
        step: Step,
        from: EventType,
        target: EventType,
        index: usize,
        tid: i64,
        lost: &mut bool,
    ) -> Value {
        let ty = tables::event(target).and_then(|def| def.params.get(index)).map_or(ParamType::Bytebuf, |def| def.ty);
        let value = match step {
            Step::Empty => Value::Empty,
            Step::Default => match (ty, ty.width()) {
                // Zero would be root, all ones nobody; neither is known.
                (ParamType::Uid | ParamType::Gid, _) | (_, None) => Value::Empty,
                (_, Some(width)) => Value::Zero(width.min(ZEROS.len()) as u8),
            },
            // Own parameters are asked for when the type changes, and `previous` holds them then.
            Step::Old(k) => self.previous.get(k as usize).copied().unwrap_or(Value::Empty),
            Step::Enter(k) => {
                let half = self.halves.params(tid, EventType(from.0.wrapping_sub(1)));
                *lost |= half.is_none();
                half.and_then(|params| params.get(k as usize)).map_or(Value::Empty, |&range| Value::Half(range))
            }
            Step::Callback => {
                for (place, value) in self.container.iter_mut().zip(&self.previous) {
                    *place = if let Value::Own(range) = value { *range } else { ParamRange::default() };
                }
                Value::Container
            }
        };
        cut(value, ty)
    }

    /// Turns `values` into ranges. Copies only when a value is not in the payload; true when it did.
    fn assemble(&mut self, stored: &Stored) -> bool {
        let copy = self.values.iter().any(|value| !matches!(value, Value::Own(_) | Value::Empty));
        self.ranges.clear();
        self.scratch.clear();
        for value in &self.values {
            let range = match *value {
                Value::Empty => ParamRange::default(),
                Value::Own(range) if !copy => range,
                other => {
                    let start = self.scratch.len();
                    match other {
                        Value::Own(range) => self.scratch.extend_from_slice(slice(stored.payload, range)),
                        Value::Half(range) => self.scratch.extend_from_slice(self.halves.bytes(stored.tid, range)),
                        Value::Zero(width) => self.scratch.extend_from_slice(&ZEROS[..width as usize]),
                        Value::Container => {
                            container::json(
                                &mut self.scratch,
                                self.container.map(|range| slice(stored.payload, range)),
                            );
                        }
                        Value::Empty => {}
                    }
                    ParamRange { start: start as u32, len: (self.scratch.len() - start) as u32 }
                }
            };
            self.ranges.push(range);
        }
        copy
    }
}

/// Counts, once per event, what its conversion could not do by the table.
fn finish(
    etype: EventType,
    verdict: Verdict,
    irregular: bool,
    lost: bool,
    ledger: &mut Ledger,
) -> (EventType, Verdict) {
    ledger.add(Counter::UnknownConversions, u64::from(irregular));
    ledger.add(Counter::LostEnterHalves, u64::from(lost));
    (etype, verdict)
}

#[cfg(test)]
mod tests {
    use super::{Converter, Outcome, PLANS};
    use crate::blocks::event::{Stored, width};
    use crate::ledger::Ledger;
    use crate::record::NUMBERING;

    /// Files keep how many events their frames deliver. Types that are added at the end of the table change nothing about
    /// that: a frame that holds one says that it is irregular.
    #[test]
    fn which_events_are_delivered_has_a_version() {
        const TYPES_OF_VERSION_1: usize = 454;
        let (mut converter, mut ledger) = (Converter::default(), Ledger::default());
        let mut hash = 0xCBF2_9CE4_8422_2325_u64;
        for etype in 0..TYPES_OF_VERSION_1 as u16 {
            for nparams in 0..=u32::from(PLANS[usize::from(etype)].params) {
                let width = width(etype);
                let payload = vec![0; nparams as usize * width];
                let stored = Stored {
                    cpu: 0,
                    dump_flags: 0,
                    ts: 1,
                    tid: 1,
                    etype,
                    nparams,
                    width,
                    payload: &payload,
                    payload_at: 0,
                };
                let delivered = matches!(converter.convert(&stored, 0, &mut ledger), Outcome::Deliver(_));
                hash = (hash ^ u64::from(delivered)).wrapping_mul(0x0100_0000_01B3);
            }
        }
        assert_eq!(
            (NUMBERING, hash),
            (1, 0x37D9_6CC4_D1D5_BEA5),
            "events of a known type are delivered or dropped otherwise than before: `record::NUMBERING` needs a new number"
        );
    }
}
