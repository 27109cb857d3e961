//! Names and arguments bound to fields, and every row of the table with an extractor or a reason.

#![allow(clippy::unwrap_used)] // a binding that fails here is the failure
use super::*;

fn bind(text: &str) -> Result<FieldRef, BindError> {
    Catalogue::new().parse(SYSCALL_SOURCE, text)
}

#[test]
fn every_row_extracts_or_says_why_it_cannot() {
    // That a row without a reason has an extractor is checked by the compiler: its variant must be matched.
    let rows = Catalogue::new().rows();
    assert!(rows.len() > 400, "the table shrank to {} rows", rows.len());
    for row in rows {
        assert!(row.offline().is_none_or(|reason| reason.len() > 20), "{}: say why", row.def.name);
        assert!(!row.meaning.is_empty());
    }
    let extracted = rows.iter().filter(|row| row.offline().is_none()).count();
    assert!(extracted > 250, "only {extracted} fields extract");
}

#[test]
fn arguments_bind_by_their_form() {
    assert_eq!(bind("proc.name").unwrap().arg, FieldArg::None);
    assert_eq!(bind("proc.aname[2]").unwrap().arg, FieldArg::Index(2));
    assert_eq!(bind("proc.env[PATH]").unwrap().arg, FieldArg::Key("PATH".into(), 0));
    assert_eq!(bind("container.mount.dest[/etc]").unwrap().arg, FieldArg::Key("/etc".into(), 0));
    assert_eq!(bind("container.mount.dest[0]").unwrap().arg, FieldArg::Index(0));
    assert_eq!(bind("container.mount.dest[01]").unwrap().arg, FieldArg::Key("01".into(), 0), "no index to plugins");
    assert_eq!(bind("thread.cgroup.cpu").unwrap().arg, FieldArg::Key("cpu".into(), 0));
    assert!(matches!(bind("evt.arg.flags").unwrap().arg, FieldArg::Key(name, _) if &*name == "flags"));
    assert_eq!(bind("evt.arg[1]").unwrap().arg, FieldArg::Index(1));
    assert!(matches!(bind("evt.abspath.src").unwrap().arg, FieldArg::Key(name, 0) if &*name == "src"));
    for refused in [
        "nosuch.field",
        "proc.name[1]",
        "evt.arg",
        "evt.arg.nosuchparam",
        "evt.rawarg[1]",
        "evt.type.is",
        "evt.type.is.nosuch",
        "evt.abspath.left",
        "container.label",
        "proc.aname[x]",
        "proc.aname[2",
        "container.id[0]",
        "ka.verb",
    ] {
        assert!(bind(refused).is_err(), "{refused} was accepted");
    }
}

#[test]
fn raw_arguments_have_the_type_and_the_format_of_their_parameter() {
    let catalogue = Catalogue::new();
    let (res, flags) = (bind("evt.rawarg.res").unwrap(), bind("evt.rawarg.flags").unwrap());
    assert_eq!(res.ty, FieldType::Errno);
    assert!(matches!(flags.ty, FieldType::Flags32 | FieldType::Flags16 | FieldType::Flags8));
    assert_eq!(catalogue.display(&flags), Display::Hex);
    assert_eq!(catalogue.display(&res), Display::Plain);
    assert_eq!(bind("evt.rawarg.name").unwrap().ty, FieldType::Text);
    assert_eq!(catalogue.display(&bind("fd.dev").unwrap()), Display::Hex);
    assert_eq!(catalogue.display(&bind("evt.rawtime.ns").unwrap()), Display::Pad9);
}

#[test]
fn sources_see_their_own_fields() {
    let catalogue = Catalogue::new();
    assert!(catalogue.field(SYSCALL_SOURCE, "proc.name").is_some());
    assert!(catalogue.field(K8S_AUDIT_SOURCE, "proc.name").is_none());
    assert!(catalogue.field(K8S_AUDIT_SOURCE, "ka.verb").is_some());
    assert!(catalogue.field(K8S_AUDIT_SOURCE, "jevt.value").is_some());
    assert!(catalogue.field(K8S_AUDIT_SOURCE, "evt.num").is_some());
    assert!(catalogue.field("nosuch", "evt.num").is_none());
    assert_eq!(catalogue.fields(K8S_AUDIT_SOURCE).filter(|(_, def)| def.name.starts_with("proc.")).count(), 0);
}

#[test]
fn event_types_by_name() {
    let catalogue = Catalogue::new();
    let open = catalogue.event_types_named("open");
    assert!(open.contains(&tables::ppme::PPME_SYSCALL_OPEN_X.0) && open.contains(&tables::ppme::PPME_SYSCALL_OPEN_E.0));
    assert!(!open.contains(&tables::ppme::PPME_SYSCALL_OPENAT_2_X.0));
    assert_eq!(catalogue.event_types_named("sysinfo"), GENERIC, "a call without a type of its own");
    assert_eq!(catalogue.event_types_named("nosuch"), [0; 0]);
    assert_eq!(catalogue.event_types_named("container_removed"), [tables::ppme::PPME_ASYNCEVENT_E.0]);
    assert!(!catalogue.event_types_named("procexit").is_empty());
    assert_eq!(catalogue.syscall_types_named("procexit"), [0; 0], "not a system call");
    assert_eq!(catalogue.syscall_types_named("open"), open);
    assert!(catalogue.all_event_types().len() > 400);
}
