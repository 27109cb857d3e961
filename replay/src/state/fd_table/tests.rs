//! What a table remembers of its pages, beside a search.

use super::*;
use crate::state::FdKind;
use crate::state::limits::MAX_FDS;

fn record(cloexec: bool) -> Rc<Fd> {
    let mut fd = Fd::new(FdKind::File, &Rc::from(&b""[..]));
    fd.cloexec = cloexec;
    Rc::new(fd)
}

/// Pages that are looked at for what a `close_range` over everything has to mark.
fn looked_at(table: &FdTable) -> usize {
    table.staying_pages(0..=i64::MAX).count()
}

// A full table that is marked again and again: what is marked is not looked at again, and what somebody clears in between
// costs its page. The same of an exec, again and again, that has nothing to close.
#[test]
fn what_is_marked_is_not_walked_again() {
    let mut table = FdTable::default();
    (0..MAX_FDS as i64).for_each(|number| assert!(table.insert(number, record(false))));
    assert_eq!(looked_at(&table), MAX_FDS / PLACES);
    assert!(table.closing.is_empty() && !table.has_closed_on_exec());
    for number in table.staying_within(0, i64::MAX) {
        assert!(table.set_cloexec(number, true).is_some());
    }
    assert_eq!(looked_at(&table), NEAR, "those that are always there");
    assert!(table.staying_within(0, i64::MAX).is_empty());
    for number in [300, 100_000, MAX_FDS as i64 - 1] {
        table.set_cloexec(number, false);
        assert_eq!(looked_at(&table), NEAR + 1);
        assert_eq!(table.staying_within(0, i64::MAX), [number]);
        table.set_cloexec(number, true);
    }
    let copy = table.clone();
    assert_eq!(table.close_on_exec(), MAX_FDS);
    assert!(table.is_empty() && table.closing.is_empty() && table.staying.is_empty());
    assert_eq!((copy.len(), looked_at(&copy)), (MAX_FDS, NEAR), "who shared its pages keeps them");
}

// What is remembered of each sort agrees with looking at all records, whatever was put in, changed and taken out.
#[test]
fn sorts_agree_with_a_search() {
    let mut table = FdTable::default();
    let mut dice = 1_u64;
    let mut throw = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((dice >> 33) % sides) as i64
    };
    for round in 0..6_000 {
        let number = throw(700) - 20;
        match throw(6) {
            0 | 1 => drop(table.remove(number)),
            2 => drop(table.set_cloexec(number, throw(2) == 0).map(|fd| fd.version)),
            _ => drop(table.insert(number, record(throw(2) == 0))),
        }
        let before = table.len();
        if round % 500 == 499 {
            let closing = table.numbers_where(|_, fd| fd.cloexec);
            let copy = table.clone();
            assert_eq!(table.close_on_exec(), closing.len());
            assert_eq!(before - table.len(), closing.iter().filter(|&&number| copy.get(number).is_some()).count());
        }
        let (first, last) = (throw(800) - 30, throw(800) - 30);
        let within = |n: i64| n >= 0 && (first..=last).contains(&n);
        assert_eq!(table.staying_within(first, last), table.numbers_where(|n, fd| within(n) && !fd.cloexec));
        let far = |cloexec: bool| {
            let numbers = table.numbers_where(|_, fd| fd.cloexec == cloexec);
            let pages = numbers.into_iter().map(|number| place_of(number).0);
            pages.filter(|index| !(0..NEAR as i64).contains(index)).collect::<BTreeSet<i64>>()
        };
        assert_eq!((&table.closing, &table.staying), (&far(true), &far(false)));
        assert_eq!(table.has_closed_on_exec(), table.iter().any(|(_, fd)| fd.cloexec));
    }
}
