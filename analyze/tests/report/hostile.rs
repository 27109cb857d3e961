//! A capture of a host whose owner knows who will read it: names that are HTML, escape sequences, direction marks,
//! Markdown and formulas, wherever a capture has room for a name.

use std::path::{Path, PathBuf};

use casebook_fixtures::{Container, Endpoint, Proc, Trace, flags};

/// What no page may have run: each of these sets `window.pwned`.
pub(crate) const SCRIPTS: [&str; 5] = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=2</script>",
    "\"><img src=\"http://203.0.113.9/x\" onerror=\"window.pwned=3\">",
    "'><svg onload=window.pwned=4>",
    "</title></style><iframe srcdoc=\"<script>parent.window.pwned=5</script>\"></iframe>",
];
/// What no terminal may see.
pub(crate) const ESCAPES: &str = "\x1b[31mred\x1b]0;title\x07\u{9b}2J\u{202e}gnp.exe\u{200b}\u{feff}\u{e0041}";

/// Rules whose names and outputs are hostile as well.
const RULES: &str = r#"
- rule: "<b onmouseover=window.pwned=6>started</b> | [x](javascript:window.pwned=7)"
  desc: every program
  condition: evt.type in (execve, execveat)
  output: "program %proc.name %proc.cmdline <script>window.pwned=8</script>"
  priority: CRITICAL
  tags: [mitre_execution, T1059, "<script>window.pwned=9</script>"]
- rule: a file was opened
  desc: every open
  condition: evt.type in (open, openat)
  output: "file %fd.name by %proc.name"
  priority: WARNING
  tags: [mitre_credential_access]
"#;

/// The capture and the rules, as files in `folder`; the capture's name is hostile too.
pub(crate) fn files(folder: &Path) -> (PathBuf, PathBuf) {
    let mut trace = Trace::new(&format!("web{ESCAPES}"));
    let container = Container::docker("3ad7b26ded6d", SCRIPTS[0], SCRIPTS[2], "latest<img>");
    let shim = trace.process(Proc::new(700, "/usr/bin/containerd-shim"));
    trace.container(&container);
    let inside = trace.enter(shim, &container);
    for script in SCRIPTS {
        let task = trace.spawn(inside, &format!("/tmp/{script}"), &[script, ESCAPES, "=cmd|' /C calc'!A0"]);
        trace.open(task, &format!("/tmp/{script}{ESCAPES}"), flags::READ);
        trace.connect(task, Endpoint::new("10.0.0.5", 40000), Endpoint::new("203.0.113.9", 80));
        trace.wait_ms(10);
        trace.exit(task, 0);
    }
    let long = "A".repeat(60_000);
    trace.open(inside, &format!("/tmp/{long}"), flags::READ);
    let capture = folder.join("<img src=x onerror=window.pwned=10>.scap");
    std::fs::write(&capture, trace.finish().expect("the story is well told")).expect("the capture can be written");
    let rules = folder.join("rules.yaml");
    std::fs::write(&rules, RULES).expect("the rules can be written");
    (capture, rules)
}
