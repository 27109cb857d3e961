//! The timeline as a picture: inline SVG for paper and for readers without scripts, and the same content as data for
//! the script that zooms.
//!
//! The script (`templates/report/page.js`) draws with the same layout, taken from the data: one place decides it. Bars
//! are as high as the logarithm of their count, so that one alert is seen beside ten thousand.

use std::fmt::Write as _;

use askama::filters::{Escaper as _, Html};
use serde_json::{Value as Json, json};

use super::text::{Time, grouped, lasting};
use super::timeline::{Band, Lane, Timeline};

/// Width of the picture on paper.
const WIDTH: f64 = 1080.0;
/// Room for the names of lanes.
const GUTTER: f64 = 140.0;
/// Height of the activity lane, of a severity's lane, of the captures' lane and of the axis.
const ACTIVITY: f64 = 40.0;
const LANE: f64 = 26.0;
const SPANS: f64 = 22.0;
const AXIS: f64 = 38.0;
/// Columns in which the picture on paper counts alerts.
const COLUMNS: usize = 480;
/// Least distance of two labels of the axis.
const LABEL_ROOM: f64 = 96.0;
const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
/// Steps of the axis, in nanoseconds.
const STEPS: [u64; 39] = {
    const S: u64 = SECOND;
    [
        1,
        2,
        5,
        10,
        20,
        50,
        100,
        200,
        500,
        1_000,
        2_000,
        5_000,
        10_000,
        20_000,
        50_000,
        100_000,
        200_000,
        500_000,
        1_000_000,
        2_000_000,
        5_000_000,
        10_000_000,
        20_000_000,
        50_000_000,
        100_000_000,
        200_000_000,
        500_000_000,
        S,
        2 * S,
        5 * S,
        10 * S,
        30 * S,
        60 * S,
        300 * S,
        900 * S,
        3600 * S,
        4 * 3600 * S,
        12 * 3600 * S,
        86_400 * S,
    ]
};

/// Height of a bar for `count` in a lane of `height` whose largest count is `most`.
fn bar(count: u64, most: u64, height: f64) -> f64 {
    let share = (count as f64).ln_1p() / (most.max(1) as f64).ln_1p();
    4.0 + (height - 6.0 - 4.0) * share
}

/// The picture, as the inside of an `<svg>` element, and its height.
pub fn picture(timeline: &Timeline) -> (String, f64) {
    let mut drawing = Drawing { timeline, svg: String::new(), y: 0.0 };
    drawing.activity();
    for lane in &timeline.lanes {
        drawing.lane(lane);
    }
    drawing.captures();
    let height = drawing.y;
    drawing.bands(height);
    drawing.axis(height);
    (drawing.svg, height + AXIS)
}

/// Width of [`picture`].
pub const fn width() -> f64 {
    WIDTH
}

struct Drawing<'t> {
    timeline: &'t Timeline,
    svg: String,
    /// Top of the next lane.
    y: f64,
}

impl Drawing<'_> {
    fn x(&self, position: u64) -> f64 {
        GUTTER + (WIDTH - GUTTER) * (position as f64 / self.timeline.length() as f64)
    }

    /// Writes markup; writing to a string cannot fail.
    fn put(&mut self, markup: std::fmt::Arguments<'_>) {
        let _ = self.svg.write_fmt(markup);
    }

    fn label(&mut self, y: f64, name: &str, count: &str) {
        self.put(format_args!("<text class=\"lane\" x=\"0\" y=\"{y:.1}\">{name}</text>"));
        let x = GUTTER - 12.0;
        self.put(format_args!("<text class=\"num\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{count}</text>"));
    }

    fn activity(&mut self) {
        if self.timeline.activity.is_empty() {
            return;
        }
        let (bottom, bars) = (self.y + ACTIVITY - 4.0, self.timeline.activity.len());
        let most = self.timeline.activity.iter().copied().max().unwrap_or(0);
        let total: u64 = self.timeline.activity.iter().sum();
        self.label(bottom - 10.0, "All events", &short(total));
        let wide = (WIDTH - GUTTER) / bars as f64;
        let mut path = String::new();
        for (at, &count) in self.timeline.activity.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (x, high) = (GUTTER + wide * at as f64, bar(count, most, ACTIVITY));
            let _ = write!(path, "M{x:.1} {bottom:.1}v-{high:.1}h{wide:.2}v{high:.1}z");
        }
        self.put(format_args!("<path class=\"activity\" d=\"{path}\"/>"));
        self.y += ACTIVITY;
    }

    fn lane(&mut self, lane: &Lane) {
        let mut columns = [0u64; COLUMNS];
        for point in &lane.points {
            let share = self.timeline.position(point.time) as f64 / self.timeline.length() as f64;
            columns[((share * COLUMNS as f64) as usize).min(COLUMNS - 1)] += point.count;
        }
        let bottom = self.y + LANE - 3.0;
        self.put(format_args!("<path class=\"floor\" d=\"M{GUTTER} {bottom:.1}H{WIDTH}\"/>"));
        self.label(bottom - 5.0, lane.severity.word(), &short(lane.total));
        let most = columns.iter().copied().max().unwrap_or(0);
        let wide = (WIDTH - GUTTER) / COLUMNS as f64;
        let mut path = String::new();
        for (at, &count) in columns.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (x, high) = (GUTTER + wide * at as f64, bar(count, most, LANE));
            let _ = write!(path, "M{x:.1} {bottom:.1}v-{high:.1}h{:.2}v{high:.1}z", wide.max(2.0));
        }
        self.put(format_args!("<path class=\"s{}\" d=\"{path}\"/>", lane.severity.0));
        self.y += LANE;
    }

    fn captures(&mut self) {
        if self.timeline.captures.len() < 2 {
            return;
        }
        let y = self.y;
        self.label(y + 16.0, "Captures", &grouped(self.timeline.captures.len() as u64));
        for capture in &self.timeline.captures {
            let (from, to) = (self.x(self.timeline.position(capture.from)), self.x(self.timeline.position(capture.to)));
            let (top, wide) = (y + 8.0, (to - from).max(2.0));
            let title = escaped(&capture.what.to_string());
            self.put(format_args!(
                "<rect class=\"span\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"7\"><title>{title}</title></rect>"
            ));
        }
        self.y += SPANS;
    }

    /// Losses over all lanes, and gaps of the axis.
    fn bands(&mut self, height: f64) {
        for pair in self.timeline.segments.windows(2) {
            let (from, to) = (self.x(pair[0].at.saturating_add(pair[0].length())), self.x(pair[1].at));
            let pause = lasting(pair[1].from.0.saturating_sub(pair[0].to.0));
            let wide = (to - from).max(1.0);
            self.put(format_args!(
                "<rect class=\"gap\" x=\"{from:.1}\" y=\"0\" width=\"{wide:.1}\" height=\"{height:.1}\"><title>nothing was recorded for {pause}</title></rect>"
            ));
        }
        for loss in &self.timeline.losses {
            let (from, to) = (self.x(self.timeline.position(loss.from)), self.x(self.timeline.position(loss.to)));
            let (wide, title) = ((to - from).max(3.0), escaped(&loss.what.to_string()));
            self.put(format_args!(
                "<rect class=\"loss\" x=\"{from:.1}\" y=\"0\" width=\"{wide:.1}\" height=\"{height:.1}\"><title>{title}</title></rect>"
            ));
        }
    }

    fn axis(&mut self, y: f64) {
        let (length, plot) = (self.timeline.length(), WIDTH - GUTTER);
        let least = (length as f64 * LABEL_ROOM / plot) as u64;
        let step = STEPS.into_iter().find(|&step| step >= least).unwrap_or_else(|| least.div_ceil(DAY) * DAY);
        self.put(format_args!("<path class=\"axis\" d=\"M{GUTTER} {y:.1}H{WIDTH}\"/>"));
        let mut axis = Axis { y, free: GUTTER, dated: GUTTER, said: String::new() };
        for segment in &self.timeline.segments {
            let (from, to) = (self.x(segment.at), self.x(segment.at.saturating_add(segment.length())));
            axis.date(self, segment.from, from);
            if self.timeline.segments.len() > 1 && to - from < LABEL_ROOM * 2.0 && step < DAY {
                // A stretch between gaps that is too short for round times says when it begins.
                axis.tick(self, from, &tick(segment.from, SECOND));
                continue;
            }
            let mut next = segment.from.0.checked_next_multiple_of(step);
            while let Some(time) = next.filter(|&time| time <= segment.to.0) {
                let x = self.x(segment.at.saturating_add(time - segment.from.0));
                axis.tick(self, x, &tick(Time(time), step));
                next = time.checked_add(step);
            }
        }
    }
}

/// Labels below the lanes, each where the one before leaves room.
struct Axis {
    y: f64,
    /// Where the next label may stand, and the next date.
    free: f64,
    dated: f64,
    /// The last date.
    said: String,
}

impl Axis {
    fn tick(&mut self, drawing: &mut Drawing<'_>, x: f64, label: &str) {
        if x >= self.free && x <= WIDTH - 30.0 {
            let (y, low, text) = (self.y, self.y + 4.0, self.y + 17.0);
            drawing.put(format_args!("<path class=\"axis\" d=\"M{x:.1} {y:.1}V{low:.1}\"/>"));
            drawing.put(format_args!("<text x=\"{x:.1}\" y=\"{text:.1}\" text-anchor=\"middle\">{label}</text>"));
            self.free = x + LABEL_ROOM * 0.9;
        }
    }

    /// The day on which a segment begins, where it is another one than before.
    fn date(&mut self, drawing: &mut Drawing<'_>, begin: Time, x: f64) {
        let date = begin.date();
        if date != self.said && x >= self.dated && x <= WIDTH - 70.0 {
            let text = self.y + 33.0;
            drawing.put(format_args!("<text class=\"date\" x=\"{x:.1}\" y=\"{text:.1}\">{date}</text>"));
            self.dated = x + LABEL_ROOM * 0.9;
            self.said = date;
        }
    }
}

/// A label of the axis: as exact as the step asks for.
fn tick(time: Time, step: u64) -> String {
    if step >= DAY {
        return time.date();
    }
    let iso = time.iso();
    let clock = iso.split('T').nth(1).unwrap_or_default().trim_end_matches('Z');
    let keep = match step {
        1_000_000_000.. => 8,
        1_000_000.. => 12,
        1_000.. => 15,
        _ => 18,
    };
    clock.get(..keep).unwrap_or(clock).to_owned()
}

/// `12,345`, `334.6k`, `12.3M`: counts beside lanes have little room.
fn short(count: u64) -> String {
    match count {
        0..100_000 => grouped(count),
        100_000..1_000_000 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

fn escaped(text: &str) -> String {
    let mut html = String::new();
    let _ = Html.write_escaped_str(&mut html, text);
    html
}

/// The timeline as data for the script: a JSON text that may stand inside of a `<script>` element.
pub fn data(timeline: &Timeline) -> String {
    // A script counts exactly up to 2^53: beyond a hundred days of recorded time, in microseconds.
    let unit: u64 = if timeline.length() < 1 << 53 { 1 } else { 1000 };
    let at = |time: Time| timeline.position(time) / unit;
    let lanes: Vec<Json> = timeline
        .lanes
        .iter()
        .map(|lane| {
            let mut before = 0;
            let steps: Vec<u64> = lane
                .points
                .iter()
                .map(|point| {
                    let position = at(point.time).max(before);
                    let step = position - before;
                    before = position;
                    step
                })
                .collect();
            let counts: Vec<u64> = lane.points.iter().map(|point| point.count).collect();
            // Mostly every point is one alert: nothing needs to say so thousands of times.
            let counts = if counts.iter().all(|&count| count == 1) { json!(1) } else { json!(counts) };
            json!({ "name": lane.severity.word(), "severity": lane.severity.0, "total": lane.total, "steps": steps,
                    "counts": counts })
        })
        .collect();
    let bands = |bands: &[Band]| -> Vec<Json> {
        bands.iter().map(|band| json!([at(band.from), at(band.to), band.what.to_string()])).collect()
    };
    let segments: Vec<Json> = timeline
        .segments
        .iter()
        .map(|segment| json!([segment.from.0.to_string(), segment.at / unit, segment.length() / unit]))
        .collect();
    let data = json!({
        "unit": unit,
        "length": timeline.length() / unit,
        "segments": segments,
        "exact": timeline.exact,
        "lanes": lanes,
        "activity": timeline.activity,
        "captures": if timeline.captures.len() > 1 { bands(&timeline.captures) } else { Vec::new() },
        "losses": bands(&timeline.losses),
        "layout": { "gutter": GUTTER, "activity": ACTIVITY, "lane": LANE, "spans": SPANS, "axis": AXIS },
        "steps": STEPS.iter().map(u64::to_string).collect::<Vec<_>>(),
    });
    // In a JSON text these characters stand in strings only. Nothing can end the element, and no parser of HTML sees
    // markup in it.
    data.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::super::model::Severity;
    use super::super::text::Text;
    use super::*;

    fn sample() -> Timeline {
        let start = 1_470_327_477_000_000_000;
        let mut timeline = Timeline::over(&[(start, start + 60_000_000_000)]);
        timeline.put_alerts(&[(Severity(2), Time(start + 5)), (Severity(4), Time(start + 30_000_000_000))]);
        timeline.put_events((0..100).map(|n| start + n * 100_000_000));
        let what = Text::new("</script><script>alert(1)</script>");
        timeline.put_losses(vec![Band { from: Time(start), to: Time(start + 1_000_000_000), what }]);
        timeline
    }

    #[test]
    fn nothing_ends_the_element_that_holds_the_data() {
        let data = data(&sample());
        assert!(!data.contains('<') && data.contains("\\u003c/script\\u003e"), "{data}");
        let parsed: Json = serde_json::from_str(&data).expect("JSON");
        assert_eq!(parsed["losses"][0][2], "</script><script>alert(1)</script>");
        assert_eq!(parsed["lanes"][0]["counts"], 1);
    }

    #[test]
    fn the_picture_has_a_lane_a_severity_and_escapes_titles() {
        let (svg, height) = picture(&sample());
        assert!(svg.contains(">Critical<") && svg.contains(">Warning<") && svg.contains(">All events<"), "{svg}");
        assert!(!svg.contains("<script"), "{svg}");
        assert!(height > ACTIVITY + 2.0 * LANE);
        assert!(svg.contains(">16:18:00<"), "{svg}");
    }

    #[test]
    fn labels_are_as_exact_as_their_step() {
        let time = Time(1_470_327_477_881_930_713);
        assert_eq!(tick(time, 1_000_000_000), "16:17:57");
        assert_eq!(tick(time, 200_000_000), "16:17:57.881");
        assert_eq!(tick(time, 86_400_000_000_000), "2016-08-04");
    }
}
