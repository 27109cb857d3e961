//! "Did you mean": the nearest of a set of known words. Used for fields, operators, macros, lists and priorities.

/// Words longer than this are not compared; no name in the language comes near it.
const MAX_LENGTH: usize = 64;

/// The candidate nearest to `word`, when it is near enough to be a slip: one edit for short words, up to three for
/// long ones. Of equally near ones the first given.
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.is_empty() || word.len() > MAX_LENGTH {
        return None;
    }
    let allowed = match word.len() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate.len().abs_diff(word.len()) > allowed || candidate.len() > MAX_LENGTH {
            continue;
        }
        let distance = distance(word.as_bytes(), candidate.as_bytes());
        if distance <= allowed && distance < candidate.len() && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits between two words: a byte added, dropped or changed (case alone counts as nothing), or two neighbours
/// swapped.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row = above.clone();
    for i in 0..a.len() {
        row[0] = i + 1;
        for j in 0..b.len() {
            let change = above[j] + usize::from(!a[i].eq_ignore_ascii_case(&b[j]));
            let mut cost = change.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                cost = cost.min(before[j - 1] + 1);
            }
            row[j + 1] = cost;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn finds_slips_and_leaves_strangers() {
        let fields = ["proc.name", "proc.pname", "fd.name", "proc.cmdline"];
        assert_eq!(closest("proc.nmae", fields), Some("proc.name"));
        assert_eq!(closest("proc.cmdlin", fields), Some("proc.cmdline"));
        assert_eq!(closest("Fd.name", fields), Some("fd.name"));
        assert_eq!(closest("user.homedir", fields), None);
        assert_eq!(closest("startwith", ["startswith", "endswith"]), Some("startswith"));
        assert_eq!(closest("x", ["in"]), None);
        assert_eq!(closest("", ["in"]), None);
    }
}
