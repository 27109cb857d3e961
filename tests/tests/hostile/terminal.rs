//! Nothing that acts on a terminal comes out of the command line, wherever the text came from: names, paths, arguments,
//! hosts, containers and users of a capture; names, outputs and mistakes of rule files; file names.

use std::fs;
use std::path::Path;

use casebook_fixtures::{Container, Exec, Proc, Trace, Value, flags};
use casebook_formats::tables::ppme;
use casebook_formats::terminal::is_harmful;

/// What an attacker writes where a name is asked for.
const EVIL: &[&str] = &[
    "\u{1b}[31mred",
    "\u{1b}]0;title\u{7}",
    "line\nbreak\r\u{8}",
    "\u{202e}gpj.exe\u{2066}",
    "\u{9b}2J",
    "tab\tand\u{7f}",
    "\u{2028}\u{200b}\u{feff}",
    "\"quote\\",
];

/// One text with all of them.
fn all() -> String {
    EVIL.concat()
}

/// Runs the tool; what it wrote to both streams.
fn run(args: &[&str]) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = ["casebook-replay"].iter().chain(args);
    let _ = casebook_replay::cli::run(args, &mut out, &mut err);
    (String::from_utf8(out).expect("output is UTF-8"), String::from_utf8(err).expect("talk is UTF-8"))
}

#[track_caller]
fn assert_harmless(what: &str, text: &str) {
    let found = text.chars().find(|&c| c != '\n' && is_harmful(c));
    assert_eq!(found, None, "{what}: {text:?}");
}

/// A story in which every name is evil. `text` holds no NUL: names in captures end there.
fn story(text: &str) -> Vec<u8> {
    let mut t = Trace::new(text);
    t.user(1234, text, text, text);
    let container = Container::docker("7f3a90c41be2d55e", text, text, text).in_pod(text, text, text);
    let path = format!("/bin/{text}");
    let shell = t.process(Proc::new(10, &path).comm(text).argv(&[text, text]).uid(1234).cwd(&path).env(&[text]));
    let inside = t.process(Proc::new(20, &path).comm(text).inside(&container, 1).uid(1234));
    t.container(&container);
    t.container_user(&container, 1234, text, text, text);
    for task in [shell, inside] {
        let child = t.fork(task);
        t.exec(child, &Exec::new(&path).argv(&[text, text]).comm(text).env(&[text]));
        t.open(child, &format!("/etc/{text}"), flags::WRITE);
        t.unlink(child, text);
        t.connect_unix(child, &format!("/run/{text}"));
        t.rename(child, text, text);
        t.exit(child, 0);
    }
    // Bytes that are no text at all.
    t.stored(10, ppme::PPME_SYSCALL_UNLINK_2_X, &[Value::Int(0), Value::Bytes(b"/etc/\xff\xfe\x1b[2J\xc3\0")]);
    t.finish().unwrap()
}

fn rules(name: &str, output: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "- rule: {}\n  desc: d\n  condition: evt.num >= 0\n  output: {}\n  priority: INFO\n  tags: [{}]\n",
        quoted(name),
        quoted(output),
        quoted(name)
    )
}

/// An output with everything that a capture can put a text into.
fn long_output() -> String {
    let fields = [
        "proc.name",
        "proc.exe",
        "proc.exepath",
        "proc.args",
        "proc.cmdline",
        "proc.cwd",
        "proc.env",
        "proc.pname",
        "proc.aname[1]",
        "proc.acmdline[1]",
        "user.name",
        "user.homedir",
        "user.shell",
        "group.name",
        "fd.name",
        "fd.nameraw",
        "fd.directory",
        "fd.filename",
        "evt.args",
        "evt.info",
        "evt.type",
        "evt.arg[0]",
        "evt.arg[1]",
        "evt.plugininfo",
        "evt.hostname",
        "container.id",
        "container.name",
        "container.image",
        "container.image.repository",
        "container.image.tag",
        "container.labels",
        "k8s.pod.name",
        "k8s.ns.name",
        "fs.path.name",
        "fs.path.source",
        "fs.path.target",
        "evt.abspath",
        "thread.cgroups",
        "evt.buffer",
        "proc.tty",
        "proc.sname",
    ];
    fields.map(|field| format!("{field}=%{field} ")).concat()
}

/// Every line of a JSON output is JSON.
#[track_caller]
fn assert_json_lines(what: &str, text: &str) {
    for line in text.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "{what}: {line}");
    }
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn captures_cannot_write_to_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, rule_file) = (folder.path().join("c.scap"), folder.path().join("r.yaml"));
    fs::write(&rule_file, rules("r", &long_output())).unwrap();
    for text in EVIL.iter().map(|&text| text.to_owned()).chain([all()]) {
        fs::write(&capture, story(&text)).unwrap();
        let args = [path_text(&capture), "-r", path_text(&rule_file)];
        let (out, err) = run(&args);
        assert!(out.lines().count() > 10, "{out} {err}");
        assert_harmless("alerts", &out);
        assert_harmless("talk", &err);
        let (out, err) = run(&[&args[..], &["--output", "json"]].concat());
        assert_harmless("alerts", &out);
        assert_harmless("talk", &err);
        assert_json_lines("alerts", &out);
        let format = format!("*{}", long_output());
        for command in [&["events"][..], &["events", "-p", &format], &["ps"], &["ps", "--all"], &["fds", "--pid", "10"]]
        {
            for form in ["text", "json"] {
                let (out, err) = run(&[command, &[path_text(&capture), "--output", form]].concat());
                assert!(out.lines().count() > 2, "{command:?}: {out} {err}");
                assert_harmless(command[0], &out);
                assert_harmless(command[0], &err);
                if form == "json" {
                    assert_json_lines(command[0], &out);
                }
            }
        }
    }
}

#[test]
fn rule_files_cannot_write_to_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.yaml");
    let evil = all();
    let good = rules(&evil, &format!("{evil} %proc.name"));
    let bad = [
        good.clone(),
        good.replace("evt.num", "evt.nmu"),
        good.replace("evt.num >= 0", &serde_json::Value::from(format!("proc.name = {evil}")).to_string()),
        good.replace("evt.num >= 0", &serde_json::Value::from(format!("{evil} and evt.type = open")).to_string()),
        good.replace("%proc.name", "%proc.nmae[\u{1b}[1m] %fd.name"),
        good.replace("priority: INFO", &format!("priority: {:?}", "\u{1b}[31m")),
        good.replace("  desc", "  \"\\e[31mdesc\\u202e\": x\n  desc"),
        format!("- list: \u{202e}l\n  items: [\u{9b}x]\n- macro: \"\\em\"\n  condition: \"\\e\"\n{good}"),
        "- rule: \u{1b}[31m\n  \u{202e}\n\t: [".to_owned(),
    ];
    for text in bad {
        fs::write(&file, &text).unwrap();
        for args in [
            &["--example", "-r", path_text(&file)][..],
            &["--example", "-r", path_text(&file), "--output", "json"],
            &["lint", path_text(&file)],
            &["lint", path_text(&file), "--format", "json"],
            &["lint", path_text(&file), "--format", "sarif"],
            &["lint", path_text(&file), "--show", "resolved"],
            &["lint", path_text(&file), "--show", "compiled"],
            &["lint", path_text(&file), "--show", "evttypes"],
        ] {
            let (out, err) = run(args);
            assert_harmless(&format!("{args:?} out"), &out);
            assert_harmless(&format!("{args:?} err"), &err);
            match args {
                [.., "--output", "json"] => assert_json_lines("alerts", &out),
                [.., "--format", _] => assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{out}"),
                _ => {}
            }
        }
    }
}

#[test]
fn file_names_cannot_write_to_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let evil = all().replace('/', "");
    let (capture, broken) = (folder.path().join(format!("{evil}.scap")), folder.path().join(format!("x{evil}.scap")));
    fs::write(&capture, casebook_fixtures::EXAMPLE).unwrap();
    fs::write(&broken, b"no capture").unwrap();
    let rule_file = folder.path().join(format!("{evil}.yaml"));
    fs::write(&rule_file, "- rule: x\n").unwrap();
    let missing = folder.path().join(format!("missing{evil}"));
    let option = format!("--{evil}");
    for args in [
        &[path_text(&capture)][..],
        &[path_text(&capture), path_text(&broken), path_text(&missing)],
        &[path_text(folder.path())],
        &[path_text(folder.path()), "--output", "json"],
        &["--example", "-r", path_text(&rule_file)],
        &["--example", "-r", path_text(&missing)],
        &["lint", path_text(&rule_file)],
        &["lint", path_text(&rule_file), "--format", "json"],
        &["lint", path_text(&rule_file), "--format", "sarif"],
        &["lint", path_text(&missing)],
        &["--example", "-o", &format!("{}/none", path_text(&missing))],
        &["--example", "--filter", &evil],
        &["--example", "--filter", &format!("proc.name = {evil} and x.y = 1")],
        &["--example", "-t", &evil, "-D", &evil],
        &["--example", "--output", &evil],
        &["--example", "-M", &evil],
        &["fields", &evil],
        &["events", path_text(&capture), path_text(&broken), path_text(&missing)],
        // The text of -p itself is the user's own word and comes out as it is; what is wrong in it is quoted.
        &["events", "--example", "-p", &format!("%proc.nmae{evil}")],
        &["events", "--example", "--filter", &evil],
        &["events", "--example", "--from", &evil],
        &["ps", path_text(&broken)],
        &["ps", path_text(&missing)],
        &["ps", "--example", "--at", &evil],
        &["fds", path_text(&capture), "--pid", "77"],
        &["fields", "--class", &evil],
        &["fields", "--source", &evil],
        &["lint", "--show", "compiled", "--rule", &evil],
        &["lint", "--deny", &evil],
        &["lint", "--allow", &evil],
        &["lint", "--explain", &evil],
        &[&option],
        &["lint", &option],
    ] {
        let (out, err) = run(args);
        assert_harmless(&format!("{args:?} out"), &out);
        assert_harmless(&format!("{args:?} err"), &err);
        assert!(!out.is_empty() || !err.is_empty(), "{args:?}");
    }
}

// Rule files and captures have their own escaping; both must know the same characters.
#[test]
fn both_ways_of_escaping_agree_on_what_is_harmful() {
    for c in '\0'..=char::MAX {
        let escaped = casebook_rules::report::printable(c.encode_utf8(&mut [0; 4])).len() != c.len_utf8();
        assert_eq!(escaped, is_harmful(c), "{:x}", c as u32);
    }
}
