//! When an event happened: fields that events of all sources have.

use casebook_rules::event::Extracted;

use crate::context::Clock;
use crate::fields::catalogue::EventField;
use crate::fields::{owned, print, unsigned};

/// Nanoseconds in a second.
pub(super) const NS: u64 = 1_000_000_000;

/// A field about the time of an event at `ts`, nanoseconds since the epoch; absent for fields about anything else.
pub(in crate::fields) fn extract<'e>(ts: u64, clock: Clock, field: EventField) -> Extracted<'e> {
    let since_first = ts.saturating_sub(clock.first_ts);
    let since_previous = ts.saturating_sub(clock.previous_ts);
    match field {
        EventField::EvtTime | EventField::EvtOutputtime => owned(print::time_of_day(ts, true)),
        EventField::EvtTimeS => owned(print::time_of_day(ts, false)),
        EventField::EvtTimeIso8601 => owned(print::iso8601(ts)),
        EventField::EvtDatetime => owned(print::datetime(ts, true)),
        EventField::EvtDatetimeS => owned(print::datetime(ts, false)),
        EventField::EvtRawtime => unsigned(ts),
        EventField::EvtRawtimeS => unsigned(ts / NS),
        EventField::EvtRawtimeNs => unsigned(ts % NS),
        EventField::EvtReltime => unsigned(since_first),
        EventField::EvtReltimeS => unsigned(since_first / NS),
        EventField::EvtReltimeNs => unsigned(since_first % NS),
        EventField::EvtDeltatime => unsigned(since_previous),
        EventField::EvtDeltatimeS => unsigned(since_previous / NS),
        EventField::EvtDeltatimeNs => unsigned(since_previous % NS),
        _ => Extracted::Absent,
    }
}
