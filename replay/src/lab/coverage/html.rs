//! Coverage as one HTML file: the rule files with everything coloured by what was seen of it.
//!
//! The page needs no network and no script, and forbids both; every text in it is escaped.

use std::fmt::Write as _;

use casebook_formats::terminal::is_harmful;
use casebook_rules::source::{FileId, Sources};

use super::annotate::runs;
use super::text::{KINDS, missing};
use super::{Coverage, PieceKind, PieceSeen, Share};
use crate::lab::mutation::Score;

const STYLE: &str = include_str!("coverage.css");

/// A ruleset of the page.
pub struct Section<'s> {
    /// How it is called.
    pub name: String,
    /// What was seen.
    pub coverage: &'s Coverage,
    /// Its files.
    pub sources: &'s Sources,
    /// The mutation score, where it was asked for.
    pub score: Option<&'s Score>,
}

/// Text that is nothing but text in HTML. What cannot be seen is spelled out; line breaks and tabs stay.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\r' => {}
            c if is_harmful(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// The page.
pub fn page(sections: &[Section<'_>]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>Rule coverage</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>Rule coverage</h1>\n"
    );
    for (number, section) in sections.iter().enumerate() {
        self::section(section, number, &mut out);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn section(section: &Section<'_>, number: usize, out: &mut String) {
    let coverage = section.coverage;
    let events: u64 = coverage.reports.iter().map(|report| report.events).sum();
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<p>{} captures, {events} events.</p>\n<div class=\"tiles\">",
        escaped(&section.name),
        coverage.read()
    );
    tile("rules reported", coverage.fired(), out);
    for (kind, words) in KINDS {
        let share = coverage.share(*kind);
        if share.of > 0 {
            tile(words, share, out);
        }
    }
    if let Some(score) = section.score {
        let total = score.total();
        tile("mutants noticed", Share { seen: total.noticed, of: total.mutants }, out);
    }
    out.push_str("</div>\n");
    rules(section, number, out);
    legend(out);
    for file in section.sources.ids() {
        self::file(section, number, file, out);
    }
}

fn tile(words: &str, share: Share, out: &mut String) {
    let percent = share.percent();
    let _ = writeln!(
        out,
        "<div class=\"tile\"><b>{percent:.1} %</b> <span>{words}</span> <small>{} of {}</small> {}</div>",
        share.seen,
        share.of,
        bar(share)
    );
}

fn bar(share: Share) -> String {
    let percent = share.percent();
    format!(
        "<meter class=\"bar\" min=\"0\" max=\"100\" low=\"50\" high=\"85\" optimum=\"100\" value=\"{percent:.1}\">{percent:.0} %</meter>"
    )
}

fn rules(section: &Section<'_>, number: usize, out: &mut String) {
    let by_rule = section.score.map(Score::by_rule).unwrap_or_default();
    let with_score = section.score.is_some();
    out.push_str("<table>\n<thead><tr><th>Rule</th><th class=\"n\">asked</th><th class=\"n\">true</th><th class=\"n\">reported</th><th>verdicts seen</th><th>list elements</th>");
    if with_score {
        out.push_str("<th>mutants noticed</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let rule_number = |name: &str| {
        let rules = section.score.map(|score| score.rules.as_slice()).unwrap_or_default();
        rules.iter().position(|other| other == name).map(|at| at as u32)
    };
    for rule in &section.coverage.rules {
        let before = section.sources.text(rule.span.file).get(..rule.span.start as usize).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let _ = write!(
            out,
            "<tr{}><td><a href=\"#s{number}f{}l{line}\">{}</a></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td>",
            if rule.reported == 0 { " class=\"silent\"" } else { "" },
            rule.span.file.0,
            escaped(&rule.name),
            rule.asked,
            rule.matched,
            rule.reported,
            cell(rule.verdicts),
            cell(rule.elements),
        );
        if with_score {
            let tally = rule_number(&rule.name).and_then(|number| by_rule.get(&number)).copied().unwrap_or_default();
            let _ = write!(out, "<td>{}</td>", cell(Share { seen: tally.noticed, of: tally.mutants }));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn cell(share: Share) -> String {
    if share.of == 0 {
        return "<span class=\"none\">none</span>".to_owned();
    }
    format!("{} <small>{}/{}</small>", bar(share), share.seen, share.of)
}

fn legend(out: &mut String) {
    out.push_str(
        "<p class=\"legend\"><span class=\"both\">seen true and false, or matched</span> <span class=\"yes\">never \
         false</span> <span class=\"no\">never true</span> <span class=\"never\">never reached, or never matched</span> \
         <span>not a condition, or in no rule that runs</span></p>\n",
    );
}

/// How a piece is coloured.
fn class(piece: &PieceSeen) -> &'static str {
    let element = matches!(piece.kind, PieceKind::Element | PieceKind::Entry);
    match (piece.seen.yes > 0, piece.seen.no > 0) {
        (true, _) if element => "both",
        (_, _) if element => "never",
        (true, true) => "both",
        (true, false) => "yes",
        (false, true) => "no",
        (false, false) => "never",
    }
}

/// What the pointer tells of a piece.
fn title(piece: &PieceSeen) -> String {
    let missing = missing(piece);
    let rules = if piece.rules.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", piece.rules.len()) };
    let what = match piece.kind {
        PieceKind::Element => {
            return format!("list element in {rules}: {}", if missing.is_empty() { "matched" } else { missing });
        }
        PieceKind::Entry => {
            return format!("exception value: {}", if missing.is_empty() { "matched" } else { missing });
        }
        PieceKind::Macro => "macro",
        PieceKind::Exception => "exception",
        PieceKind::Comparison => "comparison",
    };
    let gap = if missing.is_empty() { String::new() } else { format!(", {missing}") };
    format!("{what} in {rules}: {} times true, {} times false{gap}", piece.seen.yes, piece.seen.no)
}

fn file(section: &Section<'_>, number: usize, file: FileId, out: &mut String) {
    let coverage = section.coverage;
    let pieces = || coverage.pieces.iter().filter(|piece| piece.span.file == file);
    if pieces().next().is_none() {
        return;
    }
    let mut verdicts = Share::default();
    for piece in pieces().filter(|piece| piece.kind == PieceKind::Comparison) {
        verdicts.add(piece.seen.verdicts(), 2);
    }
    let _ = write!(
        out,
        "<details open><summary>{} <small>{:.1} % of verdicts</small></summary>\n<div class=\"file\">",
        escaped(section.sources.name(file)),
        verdicts.percent()
    );
    let mut line = 1;
    let begin = |line: usize, out: &mut String| {
        let _ = write!(out, "<div class=\"line\" id=\"s{number}f{}l{line}\"><i>{line}</i><code>", file.0);
    };
    begin(line, out);
    for run in runs(coverage, file, section.sources) {
        for (at, text) in run.text.split('\n').enumerate() {
            if at > 0 {
                line += 1;
                out.push_str("</code></div>\n");
                begin(line, out);
            }
            // Indentation belongs to the file and not to the condition.
            let bare = text.trim_start_matches([' ', '\t']);
            let blanks = text.len() - bare.len();
            let outside = if at > 0 { blanks } else { 0 };
            out.push_str(&escaped(text.get(..outside).unwrap_or_default()));
            let rest = text.get(outside..).unwrap_or_default();
            match run.piece.filter(|_| !rest.trim().is_empty()) {
                Some(piece) => {
                    let _ = write!(
                        out,
                        "<span class=\"{}\" title=\"{}\">{}</span>",
                        class(piece),
                        title(piece),
                        escaped(rest)
                    );
                }
                None => out.push_str(&escaped(rest)),
            }
        }
    }
    out.push_str("</code></div></div></details>\n");
}
