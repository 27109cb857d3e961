//! The tables as users see them, and the conversion table as a whole: every rule leads to an event of today.

mod bytes;

use bytes::{ev, read, shb};
use casebook_formats::event::EventType;
use casebook_formats::ledger::Counter;
use casebook_formats::tables::{
    self, Action, Category, Direction, EVENT_TYPES, EventFlags, EventOrigin, ParamType, PrintFormat, ppme,
};

#[test]
fn event_rows_are_what_the_format_says() {
    assert_eq!((EVENT_TYPES, tables::events().len()), (454, 454));
    let open = tables::event(ppme::PPME_SYSCALL_OPEN_X).expect("open");
    assert_eq!((open.symbol, open.name, open.dir), ("PPME_SYSCALL_OPEN_X", "open", Direction::Exit));
    assert_eq!((open.category, open.origin), (Category::File, EventOrigin::Syscall));
    assert!(open.flags.has(EventFlags::CREATES_FD) && !open.flags.has(EventFlags::OLD_VERSION));
    let names: Vec<_> = open.params.iter().map(|param| param.name).collect();
    assert_eq!(names, ["fd", "name", "flags", "mode", "dev", "ino"]);
    assert_eq!((open.params[2].ty, open.params[2].format), (ParamType::Flags32, PrintFormat::Hex));
    assert_eq!(open.params[2].table.and_then(|table| table.value("O_CREAT")), Some(4));
    assert!(tables::event(EventType(454)).is_none());
}

#[test]
fn relative_paths_point_at_descriptors_and_variants_have_encodings() {
    for (etype, def) in tables::events() {
        for param in def.params {
            assert_eq!(param.dirfd.is_some(), param.ty == ParamType::Fsrelpath, "{etype:?} {}", param.name);
            let target = param.dirfd.map(|index| def.params[index as usize].ty);
            assert!(matches!(target, None | Some(ParamType::Fd)), "{etype:?} {}", param.name);
            assert_eq!(param.variants.is_empty(), param.ty != ParamType::Dyn, "{etype:?} {}", param.name);
        }
    }
    let setsockopt = tables::event(ppme::PPME_SOCKET_SETSOCKOPT_X).expect("setsockopt");
    let variants = setsockopt.params.iter().find(|param| param.ty == ParamType::Dyn).expect("value").variants;
    assert_eq!(variants.len(), 5);
    assert_eq!(variants[2].ty, ParamType::Uint32);
}

#[test]
fn names_numbers_and_tables_are_found() {
    let openat: Vec<u16> = tables::event_types_named("openat").map(|etype| etype.0).collect();
    assert_eq!(openat, [102, 103, 306, 307]);
    assert_eq!(
        tables::syscall(4).map(|call| (call.name, call.x86_64, call.aarch64)),
        Some(("write", Some(1), Some(64)))
    );
    assert_eq!(tables::syscall(4).and_then(|call| call.exit), Some(ppme::PPME_SYSCALL_WRITE_X));
    assert!(tables::syscall(u16::MAX).is_none());
    // Code 0 means that the recorder knew only the native number.
    assert_eq!(tables::generic_syscall(0, Some(221)).map(|call| call.name), Some("fadvise64"));
    assert_eq!(tables::generic_syscall(0, Some(60_000)).map(|call| call.name), Some("unknown"));
    assert_eq!(tables::generic_syscall(16, Some(221)).map(|call| call.name), Some("getpid"));
    assert!(tables::flag_table("file_flags").is_some() && tables::flag_table("no_such_flags").is_none());
}

#[test]
fn every_conversion_rule_leads_to_an_event_of_today() {
    for (etype, def) in tables::events() {
        for row in tables::conversions(etype) {
            let values: Vec<Vec<u8>> =
                def.params[..row.nparams as usize].iter().map(|param| vec![1; param.ty.width().unwrap_or(3)]).collect();
            let params: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let outcome = read(&[shb(), ev(1, 1, etype, &params)].concat());
            let what = format!("{} with {}", def.symbol, row.nparams);
            assert_eq!(outcome.count(Counter::UnknownConversions), 0, "{what}");
            assert_eq!(outcome.count(Counter::DamagedEvents), 0, "{what}");
            match (outcome.events().as_slice(), &row.action) {
                ([], Action::Store) => {}
                // An enter half that gets parameters, or another type, and is stored then.
                ([], Action::AddParams(_) | Action::ChangeType(..)) => assert_eq!(def.dir, Direction::Enter, "{what}"),
                ([event], Action::Pass | Action::StoreAndPass | Action::AddParams(_) | Action::ChangeType(..)) => {
                    let target = tables::event(event.etype).expect("in the table");
                    assert_eq!(event.params.len(), target.params.len(), "{what}");
                    let current = target.dir == Direction::Enter || !target.flags.has(EventFlags::OLD_VERSION);
                    assert!(current, "{what} becomes {}", target.symbol);
                }
                (events, action) => panic!("{what}: {} events by {action:?}", events.len()),
            }
        }
    }
}
