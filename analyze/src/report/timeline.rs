//! When it happened: an axis of recorded time, and what lies on it.
//!
//! Several captures can lie years apart; an axis that is true to scale would show two hairlines. So the axis is made of
//! *segments*, stretches of time that some capture covers, each true to scale, with narrow gaps between them that stand
//! for any length of time in which nothing was recorded. A *position* on the axis counts nanoseconds of recorded time
//! (and of the gaps' widths) from its beginning.
//!
//! Alerts are points, one lane a severity. Where there are more of them than a page can bear they are counted by fine
//! slices of the axis instead. Losses are bands: what the recorder said it lost, from when to when.

use serde::Serialize;

use super::model::Severity;
use super::text::{Text, Time};

/// Points of all lanes together, beyond which alerts are counted by slices.
pub const MAX_POINTS: usize = 12_000;
/// Slices of a lane that is counted.
const SLICES: u64 = 3_000;
/// Bars of the activity lane.
pub const ACTIVITY_BARS: usize = 600;
/// Segments of the axis; of more captures than that, neighbours are joined.
const MAX_SEGMENTS: usize = 200;
/// Spans of captures and bands of losses that are drawn.
pub const MAX_BANDS: usize = 400;

/// The timeline.
#[derive(Debug, Default, Serialize)]
pub struct Timeline {
    /// Stretches of recorded time, in order.
    pub segments: Vec<Segment>,
    /// Alerts by severity, strongest first, those that occurred.
    pub lanes: Vec<Lane>,
    /// Whether the points of lanes are alerts themselves, or counts of slices of the axis.
    pub exact: bool,
    /// Events by slice of the axis, [`ACTIVITY_BARS`] of them.
    pub activity: Vec<u64>,
    /// From when to when captures go, bounded.
    pub captures: Vec<Band>,
    /// Losses whose time is known, bounded.
    pub losses: Vec<Band>,
    /// All of them.
    pub losses_total: u64,
}

/// A stretch of recorded time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Segment {
    /// First event.
    pub from: Time,
    /// Last event.
    pub to: Time,
    /// Position of its beginning.
    #[serde(skip)]
    pub at: u64,
}

impl Segment {
    /// Its length; never 0, so that a single event has a place.
    pub fn length(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0).max(1)
    }
}

/// Alerts of one severity.
#[derive(Debug, Serialize)]
pub struct Lane {
    /// Which.
    pub severity: Severity,
    /// How many.
    pub total: u64,
    /// When: in order.
    pub points: Vec<Point>,
}

/// Alerts at a moment, or from it on for one slice of the axis.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// When.
    pub time: Time,
    /// How many.
    pub count: u64,
}

/// Something that lasts.
#[derive(Clone, Debug, Serialize)]
pub struct Band {
    /// Beginning.
    pub from: Time,
    /// End.
    pub to: Time,
    /// What it is, in words.
    pub what: Text,
}

impl Timeline {
    /// An axis over what captures cover: their first and last event, in any order.
    pub fn over(covered: &[(u64, u64)]) -> Self {
        let mut sorted: Vec<(u64, u64)> = covered.iter().map(|&(from, to)| (from, to.max(from))).collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (from, to) in sorted {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        let recorded: u64 = merged.iter().fold(0, |sum, (from, to)| sum.saturating_add((to - from).max(1)));
        // What is short beside what was recorded is no gap worth a break of the axis.
        let mut negligible = recorded / 50;
        let mut segments = joined(&merged, negligible);
        while segments.len() > MAX_SEGMENTS {
            negligible = negligible.saturating_mul(2).max(1);
            segments = joined(&merged, negligible);
        }
        let mut timeline = Self { segments, exact: true, ..Self::default() };
        timeline.place();
        timeline
    }

    /// Gives segments their positions.
    fn place(&mut self) {
        let recorded: u64 = self.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.length()));
        let gaps = self.segments.len().saturating_sub(1).max(1) as u64;
        let gap = (recorded / 50).min(recorded / 4 / gaps).max(1);
        let mut at = 0u64;
        for segment in &mut self.segments {
            segment.at = at;
            at = at.saturating_add(segment.length()).saturating_add(gap);
        }
    }

    /// The position behind the last event.
    pub fn length(&self) -> u64 {
        self.segments.last().map_or(1, |segment| segment.at.saturating_add(segment.length()))
    }

    /// The position of a time; what lies outside of all segments goes to the nearest edge.
    pub fn position(&self, time: Time) -> u64 {
        let after = self.segments.partition_point(|segment| segment.from <= time);
        match after.checked_sub(1).and_then(|at| self.segments.get(at)) {
            Some(segment) => segment.at.saturating_add((time.0 - segment.from.0).min(segment.length())),
            None => 0,
        }
    }

    /// The time at a position; within a gap, the end of the segment before it.
    pub fn time_at(&self, position: u64) -> Time {
        let after = self.segments.partition_point(|segment| segment.at <= position);
        match after.checked_sub(1).and_then(|at| self.segments.get(at)) {
            Some(segment) => Time(segment.from.0.saturating_add((position - segment.at).min(segment.length()))),
            None => Time(0),
        }
    }

    /// Puts alerts on the axis: severity and time of each, in any order.
    pub fn put_alerts(&mut self, alerts: &[(Severity, Time)]) {
        let mut sorted = alerts.to_vec();
        sorted.sort_unstable();
        self.exact = alerts.len() <= MAX_POINTS;
        let slice = (self.length() / SLICES).max(1);
        for of_one in sorted.chunk_by(|a, b| a.0 == b.0) {
            let mut points: Vec<Point> = Vec::new();
            let mut end = 0;
            for &(_, time) in of_one {
                let position = self.position(time);
                match points.last_mut() {
                    Some(last) if last.time == time || (!self.exact && position < end) => last.count += 1,
                    _ => {
                        points.push(Point { time, count: 1 });
                        end = (position / slice + 1).saturating_mul(slice);
                    }
                }
            }
            self.lanes.push(Lane { severity: of_one[0].0, total: of_one.len() as u64, points });
        }
    }

    /// Counts events into the bars of the activity lane.
    pub fn put_events(&mut self, times: impl Iterator<Item = u64>) {
        self.activity.resize(ACTIVITY_BARS, 0);
        let length = u128::from(self.length());
        for time in times {
            let position = u128::from(self.position(Time(time)));
            let bar = (position * ACTIVITY_BARS as u128 / length) as usize;
            self.activity[bar.min(ACTIVITY_BARS - 1)] += 1;
        }
    }

    /// Puts captures on the axis.
    pub fn put_captures(&mut self, captures: Vec<Band>) {
        self.captures = captures;
        self.captures.truncate(MAX_BANDS);
    }

    /// Puts losses on the axis, in any order; of the same kind, those that touch are one.
    pub fn put_losses(&mut self, mut losses: Vec<Band>) {
        self.losses_total = losses.len() as u64;
        losses.sort_by(|a, b| (a.from, a.to, &a.what).cmp(&(b.from, b.to, &b.what)));
        losses.dedup_by(|later, earlier| {
            let touching = later.what == earlier.what && later.from <= earlier.to;
            if touching {
                earlier.to = earlier.to.max(later.to);
            }
            touching
        });
        losses.truncate(MAX_BANDS);
        self.losses = losses;
    }
}

/// Stretches as segments, those that are less than `negligible` apart joined.
fn joined(stretches: &[(u64, u64)], negligible: u64) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for &(from, to) in stretches {
        match segments.last_mut() {
            Some(last) if from.saturating_sub(last.to.0) <= negligible => last.to = Time(to),
            _ => segments.push(Segment { from: Time(from), to: Time(to), at: 0 }),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    #[test]
    fn years_between_captures_are_a_narrow_gap() {
        let timeline = Timeline::over(&[(20_000 * HOUR, 20_001 * HOUR), (0, HOUR), (HOUR / 2, 2 * HOUR)]);
        assert_eq!(timeline.segments.len(), 2);
        assert_eq!(timeline.segments[0].to, Time(2 * HOUR));
        assert!(timeline.length() < 4 * HOUR, "{}", timeline.length());
        // Inside of segments the axis is true to scale, and leads back.
        for time in [Time(0), Time(HOUR), Time(20_000 * HOUR + 7)] {
            assert_eq!(timeline.time_at(timeline.position(time)), time);
        }
        // What nobody recorded lies at the edge before it.
        assert_eq!(timeline.time_at(timeline.position(Time(10 * HOUR))), Time(2 * HOUR));
    }

    #[test]
    fn short_pauses_do_not_break_the_axis() {
        assert_eq!(Timeline::over(&[(0, HOUR), (HOUR + 5, 2 * HOUR)]).segments.len(), 1);
        assert_eq!(Timeline::over(&[]).length(), 1);
        assert_eq!(Timeline::over(&[(7, 7)]).position(Time(7)), 0);
    }

    #[test]
    fn thousands_of_captures_keep_to_the_limit() {
        let covered: Vec<_> = (0..5000).map(|n| (n * 24 * HOUR, n * 24 * HOUR + HOUR)).collect();
        assert!(Timeline::over(&covered).segments.len() <= MAX_SEGMENTS);
    }

    #[test]
    fn many_alerts_are_counted_by_slices_and_none_is_lost() {
        let mut timeline = Timeline::over(&[(0, HOUR)]);
        let alerts: Vec<_> = (0..100_000).map(|n| (Severity((n % 2) as u8), Time(n * HOUR / 100_000))).collect();
        timeline.put_alerts(&alerts);
        assert!(!timeline.exact);
        assert_eq!(timeline.lanes.len(), 2);
        for lane in &timeline.lanes {
            assert!(lane.points.len() as u64 <= SLICES + 1, "{}", lane.points.len());
            assert_eq!(lane.points.iter().map(|point| point.count).sum::<u64>(), lane.total);
        }
    }

    #[test]
    fn few_alerts_keep_their_times() {
        let mut timeline = Timeline::over(&[(0, HOUR)]);
        timeline.put_alerts(&[(Severity(4), Time(9)), (Severity(2), Time(8)), (Severity(4), Time(9))]);
        assert!(timeline.exact);
        assert_eq!(timeline.lanes[0].severity, Severity(2));
        assert_eq!((timeline.lanes[1].points[0].time, timeline.lanes[1].points[0].count), (Time(9), 2));
    }

    #[test]
    fn events_fall_into_bars() {
        let mut timeline = Timeline::over(&[(0, HOUR)]);
        timeline.put_events([0, HOUR / 2, HOUR, 5 * HOUR].into_iter());
        assert_eq!(timeline.activity.iter().sum::<u64>(), 4);
        assert_eq!((timeline.activity[0], timeline.activity[ACTIVITY_BARS - 1]), (1, 2));
    }
}
