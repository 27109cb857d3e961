//! Delta debugging: what can be left out of a list, whatever is in it.

/// Leaves out of `items` what `holds` does without: parts of a half, a quarter and so on, down to single ones.
pub(super) fn shrink<T: Clone>(items: Vec<T>, mut holds: impl FnMut(&[T]) -> Option<bool>) -> Vec<T> {
    let mut items = items;
    let mut size = items.len();
    while size > 0 {
        let mut at = 0;
        let mut left_out = false;
        while at < items.len() {
            let end = (at + size).min(items.len());
            let rest: Vec<T> = items[..at].iter().chain(&items[end..]).cloned().collect();
            match holds(&rest) {
                Some(true) => {
                    items = rest;
                    left_out = true;
                }
                Some(false) => at = end,
                None => return items,
            }
        }
        // Single ones are tried until none can go: each that went may have been what another one was there for.
        size = if size == 1 && left_out { 1 } else { size / 2 };
    }
    items
}

#[cfg(test)]
mod tests {
    use super::shrink;

    #[test]
    fn what_is_needed_stays() {
        for needed in [vec![], vec![0], vec![99], vec![3, 4, 5], vec![0, 17, 50, 51, 99]] {
            let mut attempts = 0;
            let left = shrink((0..100).collect(), |items: &[i32]| {
                attempts += 1;
                Some(needed.iter().all(|item| items.contains(item)))
            });
            assert_eq!(left, needed);
            assert!(attempts < 250, "{attempts}");
        }
    }

    #[test]
    fn pairs_that_need_each_other_go_together_or_one_after_the_other() {
        // 1 is there for the sake of 2 only: it can go when 2 has gone.
        let left =
            shrink(vec![1, 2, 3], |items| Some(items.contains(&3) && (items.contains(&1) || !items.contains(&2))));
        assert_eq!(left, [3]);
    }
}
