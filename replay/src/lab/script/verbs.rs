//! What processes of a script can do: one table of verbs, from which the reference page is made as well.
//!
//! An event is `{by: PROCESS, VERB: VALUE, OPTION: ..., after: 1.5s}`. A verb writes the events a recorder would have
//! written, sockets and descriptors included; where the value is a mapping, the key is an event of the event table
//! instead and the mapping its parameters ([`super::params`]).

use casebook_fixtures::flags::{self, APPEND, O_RDWR, O_WRONLY, READ, WRITE};
use casebook_fixtures::{Endpoint, Exec, START, Task};
use casebook_formats::tables;
use casebook_rules::diagnostics::did_you_mean;
use casebook_rules::yaml::Node;

use super::{Teller, words};
use crate::lab::tree::Entries;

/// One event being told.
pub(super) struct Call<'n> {
    task: Task,
    /// The verb's value.
    value: &'n Node,
    entries: Entries<'n>,
}

type Told = Option<()>;

/// A mistake was noted.
struct Noted;

/// A verb.
struct Verb {
    name: &'static str,
    /// Its value.
    value: &'static str,
    /// Its options.
    options: &'static str,
    /// What happens.
    does: &'static str,
    tell: fn(&mut Teller<'_>, &mut Call<'_>) -> Told,
}

const EXEC_OPTIONS: &str = "`argv`, `env`, `comm`, `resolved`, `file: upper\\|memory`, `tty`, `caps`";

/// All verbs, in the order of the page.
#[rustfmt::skip] // a table
const VERBS: &[Verb] = &[
    Verb { name: "spawn", value: "command line", options: "`as`, and those of `exec`", does: "a child is forked and becomes another program; `as` names it, otherwise its program does", tell: spawn },
    Verb { name: "exec", value: "command line", options: EXEC_OPTIONS, does: "the process becomes another program. The first word is the path; `argv` begins with its file name unless given. With `res: ENOENT` it fails (`call: execveat` for the other system call)", tell: exec },
    Verb { name: "fork", value: "name of the child", options: "", does: "a child process", tell: fork },
    Verb { name: "vfork", value: "name of the child", options: "", does: "a child process, by vfork", tell: vfork },
    Verb { name: "thread", value: "name of the thread", options: "", does: "another thread of the process", tell: thread },
    Verb { name: "enter", value: "container", options: "`run: command line`, `as`, and those of `exec`", does: "a runtime starts a process in a container from outside, as `docker exec` does", tell: enter },
    Verb { name: "exit", value: "status", options: "", does: "the process ends", tell: exit },
    Verb { name: "open", value: "path", options: "`for: read\\|write\\|append\\|edit\\|create\\|update`, or `flags`; `res`, `as`", does: "openat, for reading unless told otherwise: `write` creates and cuts, `append` creates, `edit` changes what is there, `update` reads and writes, `create` creates for sure; `as` names the descriptor", tell: open },
    Verb { name: "read", value: "descriptor", options: "`data`", does: "read", tell: read },
    Verb { name: "write", value: "descriptor", options: "`data`", does: "write", tell: write },
    Verb { name: "close", value: "descriptor", options: "", does: "close", tell: close },
    Verb { name: "dup2", value: "descriptor", options: "`to`", does: "the descriptor `to` becomes another name of it", tell: dup2 },
    Verb { name: "unlink", value: "path", options: "", does: "unlink", tell: unlink },
    Verb { name: "remove", value: "path", options: "", does: "unlinkat, as rm does it", tell: remove },
    Verb { name: "rename", value: "path", options: "`to`", does: "rename", tell: rename },
    Verb { name: "mkdir", value: "path", options: "", does: "mkdir", tell: mkdir },
    Verb { name: "symlink", value: "target", options: "`at`: path of the link, given as `link`", does: "symlink", tell: symlink },
    Verb { name: "link", value: "path", options: "`to`", does: "link: a second name", tell: link },
    Verb { name: "chmod", value: "path", options: "`mode`: octal, as for chmod, or names of `chmod_mode`", does: "chmod", tell: chmod },
    Verb { name: "mount", value: "device", options: "`on`, `type`, `res`", does: "mount", tell: mount },
    Verb { name: "chdir", value: "path", options: "", does: "chdir", tell: chdir },
    Verb { name: "connect", value: "`address:port` or path of a unix socket", options: "`from`, `res`, `as`", does: "socket and connect over TCP, pending unless `res` says otherwise", tell: connect },
    Verb { name: "listen", value: "`address:port`", options: "`as`", does: "socket, bind and listen", tell: listen },
    Verb { name: "accept", value: "`address:port` of the client", options: "`on`, `as`", does: "accept4", tell: accept },
    Verb { name: "send", value: "`address:port`", options: "`from`, `data`, `as`", does: "a datagram from a new UDP socket", tell: send },
    Verb { name: "socket", value: "`DOMAIN TYPE [PROTOCOL]`, such as `AF_PACKET SOCK_RAW 768`", options: "`as`", does: "socket", tell: socket },
    Verb { name: "setuid", value: "number", options: "`res`", does: "setuid", tell: setuid },
    Verb { name: "setresuid", value: "number", options: "`res`", does: "setresuid with that number three times", tell: setresuid },
    Verb { name: "setsid", value: "`~`", options: "", does: "setsid", tell: setsid },
    Verb { name: "setpgid", value: "`~`", options: "", does: "setpgid(0, 0), as shells do it for what they start", tell: setpgid },
    Verb { name: "login", value: "number", options: "", does: "the audit identity changes; no event tells it, the next exec carries it", tell: login },
    Verb { name: "ptrace", value: "request, such as `PTRACE_ATTACH`", options: "`of`: process; `res`", does: "ptrace", tell: ptrace },
    Verb { name: "write_memory", value: "process", options: "`data`", does: "process_vm_writev", tell: write_memory },
    Verb { name: "setns", value: "descriptor", options: "`type`: names of `clone_flags`; `res`", does: "setns", tell: setns },
    Verb { name: "unshare", value: "names of `clone_flags`", options: "`res`", does: "unshare", tell: unshare },
    Verb { name: "init_module", value: "arguments of the module", options: "`res`", does: "init_module", tell: init_module },
    Verb { name: "finit_module", value: "descriptor", options: "`res`", does: "finit_module", tell: finit_module },
    Verb { name: "bpf", value: "command, such as `BPF_PROG_LOAD`", options: "`as`", does: "bpf", tell: bpf },
    Verb { name: "memfd", value: "name", options: "`as`", does: "memfd_create", tell: memfd },
    Verb { name: "userfaultfd", value: "`~`", options: "`as`", does: "userfaultfd", tell: userfaultfd },
    Verb { name: "container", value: "container", options: "`async: true`", does: "the metadata of a container, once more; no `by`", tell: container },
];

/// The verbs as a table of Markdown.
pub(in crate::lab) fn page() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("| verb | value | options | what happens |\n|---|---|---|---|\n");
    for verb in VERBS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", verb.name, verb.value, verb.options, verb.does);
    }
    text
}

impl Teller<'_> {
    /// Tells one event.
    pub(super) fn event(&mut self, node: &Node) -> Told {
        let mut entries = Entries::of(node, "an event", self.notes)?;
        let by = entries.take("by");
        self.clock(&mut entries)?;
        let verb = entries.others().find_map(|(key, value)| {
            let name = key.scalar()?;
            let verb = VERBS.iter().find(|verb| verb.name == name.value);
            (verb.is_some() || value.mapping().is_some()).then_some((verb, key, value))
        });
        let Some((verb, key, value)) = verb else { return self.no_verb(&entries) };
        let task = match by {
            Some(by) => self.actor(by)?,
            None => Task(-1),
        };
        let name = key.scalar().map_or("", |name| name.value.as_str());
        if let Some(verb) = verb.filter(|_| value.mapping().is_none()) {
            if by.is_none() && verb.name != "container" {
                return self.notes.wrong(key.span, format!("`{name}` needs `by`: who does it"));
            }
            entries.take(verb.name);
            let mut call = Call { task, value, entries };
            (verb.tell)(self, &mut call)?;
            call.entries.end(&format!("`{name}`"), self.notes);
            return Some(());
        }
        self.table_event(name, key, value, task)?;
        match entries.others().find(|(other, _)| other.span != key.span) {
            None => Some(()),
            Some((other, _)) => {
                let message = format!("the parameters of `{name}` stand in its mapping; beside it: by, after, at");
                self.notes.wrong(other.span, message)
            }
        }
    }

    /// `after: 1.5s` since the last event, or `at: +1.5s` since the beginning.
    fn clock(&mut self, entries: &mut Entries<'_>) -> Told {
        if let Some(after) = entries.take("after") {
            let ns = self.notes.span(after)?;
            self.trace.wait_ns(ns);
        }
        if let Some(at) = entries.take("at") {
            let moment = START.saturating_add(self.notes.span(at)?);
            match moment.checked_sub(self.trace.now()) {
                Some(ns) => self.trace.wait_ns(ns),
                None => return self.notes.wrong(at.span, "this moment has passed: events stand in the order of time"),
            };
        }
        Some(())
    }

    fn no_verb(&mut self, entries: &Entries<'_>) -> Told {
        let (place, word) = match entries.others().next() {
            Some((key, _)) => (key.span, key.scalar().map_or("", |key| key.value.as_str())),
            None => (entries.start(), ""),
        };
        let hint = did_you_mean(word, VERBS.iter().map(|verb| verb.name)).unwrap_or_else(|| {
            let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
            format!("{}; or an event of the event table with its parameters as a mapping", names.join(", "))
        });
        let what = if word.is_empty() { "this event says nothing".to_owned() } else { format!("nobody can `{word}`") };
        self.notes.wrong_with(place, what, Some(hint))
    }

    /// The text of an option; nothing when it is not there.
    fn option(&mut self, call: &mut Call<'_>, key: &'static str) -> Result<Option<String>, Noted> {
        call.entries.take(key).map(|node| self.text(node).ok_or(Noted)).transpose()
    }

    /// The text of an option that has to be there.
    fn needed(&mut self, call: &mut Call<'_>, key: &'static str) -> Option<String> {
        let node = call.entries.need(key, "this", self.notes)?;
        self.text(node)
    }

    /// `res`: 0 unless told otherwise.
    fn result(&mut self, call: &mut Call<'_>) -> Result<Option<i64>, Noted> {
        let Some(node) = call.entries.take("res") else { return Ok(None) };
        let text = self.text(node).ok_or(Noted)?;
        let wrong = || format!("`{text}` is no result: 0, a number, or an error like ENOENT");
        words::result(&text).or_else(|| self.notes.wrong(node.span, wrong())).map(Some).ok_or(Noted)
    }

    /// A number.
    fn number<N: std::str::FromStr>(&mut self, node: &Node) -> Option<N> {
        let text = self.text(node)?;
        match text.parse() {
            Ok(number) => Some(number),
            Err(_) => self.notes.wrong(node.span, format!("`{text}` is no number that fits here")),
        }
    }

    /// A descriptor: its number or its name.
    pub(super) fn descriptor(&mut self, node: &Node) -> Option<i64> {
        let text = self.text(node)?;
        if let Some(fd) = words::number(&text).or_else(|| self.descriptors.get(&text).copied()) {
            return Some(fd);
        }
        let hint = did_you_mean(&text, self.descriptors.keys().map(String::as_str));
        self.notes.wrong_with(node.span, format!("there is no descriptor `{text}`; `as` names one"), hint)
    }

    /// Gives a new descriptor the name of `as`.
    fn name_descriptor(&mut self, call: &mut Call<'_>, fd: i64) -> Told {
        if let Some(node) = call.entries.take("as") {
            let name = self.text(node)?;
            if words::number(&name).is_some() {
                return self.notes.wrong(node.span, "a name, not a number");
            }
            self.descriptors.insert(name, fd);
        }
        Some(())
    }

    /// `address:port`.
    pub(super) fn endpoint(&mut self, node: &Node) -> Option<Endpoint> {
        let text = self.text(node)?;
        parse_endpoint(&text).or_else(|| {
            let message = format!("`{text}` is no address and port like 203.0.113.9:443 or [2001:db8::9]:443");
            self.notes.wrong(node.span, message)
        })
    }

    /// Flags by the names of a table.
    pub(super) fn flags(&mut self, node: &Node, table: &str) -> Option<u32> {
        let text = self.text(node)?;
        let Some(table) = tables::flag_table(table) else {
            return self.notes.wrong(node.span, format!("there is no table {table}"));
        };
        match words::flags(&text, table) {
            Ok(flags) => Some(flags),
            Err(unknown) => {
                let hint = did_you_mean(&unknown, table.entries.iter().map(|(name, _)| *name));
                self.notes.wrong_with(node.span, format!("{} has no `{unknown}`", table.name), hint)
            }
        }
    }

    /// The name that `as` gives a process, and the process.
    fn introduced(&mut self, call: &mut Call<'_>, task: Task, program: &str) -> Told {
        let given = match call.entries.take("as") {
            Some(node) => Some((self.text(node)?, node.span)),
            None => None,
        };
        self.introduce(task, given.as_ref().map(|(name, span)| (name.as_str(), *span)), program)
    }

    /// The process becomes the program of a command line, with the options of `exec`.
    fn execute(&mut self, call: &mut Call<'_>, task: Task, line: &Node) -> Option<String> {
        let mut words = self.words(line)?;
        let path = words.first()?.clone();
        if let Some(first) = words.first_mut() {
            path.rsplit('/').next().unwrap_or(&path).clone_into(first);
        }
        if let Some(argv) = call.entries.take("argv") {
            words = self.words(argv)?;
        }
        let argv: Vec<&str> = words.iter().map(String::as_str).collect();
        let env = match call.entries.take("env") {
            Some(env) => Some(self.texts(env)?),
            None => None,
        };
        let env: Option<Vec<&str>> = env.as_ref().map(|env| env.iter().map(String::as_str).collect());
        let comm = self.option(call, "comm").ok()?;
        let resolved = self.option(call, "resolved").ok()?;
        let mut exec = Exec::new(&path).argv(&argv);
        if let Some(env) = &env {
            exec = exec.env(env);
        }
        if let Some(comm) = &comm {
            exec = exec.comm(comm);
        }
        if let Some(resolved) = &resolved {
            exec = exec.resolved(resolved);
        }
        if let Some(file) = call.entries.take("file") {
            let upper = self.notes.one_of(file, &[("upper", true), ("memory", false)])?;
            exec = if upper { exec.upper_layer() } else { exec.memfd() };
        }
        if let Some(tty) = call.entries.take("tty") {
            exec = exec.tty(self.tty(tty)?);
        }
        if let Some(caps) = call.entries.take("caps") {
            exec = exec.caps(self.caps(caps)?);
        }
        if let Some(way) = call.entries.take("call")
            && self.notes.one_of(way, &[("execve", false), ("execveat", true)])?
        {
            exec = exec.at();
        }
        match self.result(call).ok()? {
            None | Some(0) => self.trace.exec(task, &exec),
            Some(error) => self.trace.exec_failed(task, &exec, error),
        };
        Some(path)
    }
}

/// `203.0.113.9:443`, `[2001:db8::9]:443`.
pub(super) fn parse_endpoint(text: &str) -> Option<Endpoint> {
    let end: std::net::SocketAddr = text.trim().parse().ok()?;
    Some(Endpoint { ip: end.ip(), port: end.port() })
}

/// Where connections of a script come from that do not say it.
fn local(remote: Endpoint) -> Endpoint {
    Endpoint::new(if remote.ip.is_ipv4() { "10.0.0.5" } else { "2001:db8::5" }, 40_000)
}

fn spawn(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let child = t.trace.fork(call.task);
    let path = t.execute(call, child, call.value)?;
    t.introduced(call, child, &path)
}

fn exec(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    t.execute(call, call.task, call.value).map(|_| ())
}

fn born(t: &mut Teller<'_>, call: &mut Call<'_>, child: Task) -> Told {
    let name = t.text(call.value)?;
    t.introduce(child, Some((&name, call.value.span)), &name)
}

fn fork(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let child = t.trace.fork(call.task);
    born(t, call, child)
}

fn vfork(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let child = t.trace.vfork(call.task);
    born(t, call, child)
}

fn thread(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let child = t.trace.thread(call.task);
    born(t, call, child)
}

fn enter(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let container = t.container_named(call.value)?;
    let child = t.trace.enter(call.task, &container);
    // The runtime's helper leads a session of its own before it becomes the program.
    t.trace.setsid(child);
    let program = match call.entries.take("run") {
        Some(line) => t.execute(call, child, line)?,
        None => "runc".to_owned(),
    };
    t.introduced(call, child, &program)
}

fn exit(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let status = t.number(call.value)?;
    t.trace.exit(call.task, status);
    Some(())
}

fn open(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    let ways = [
        ("read", READ),
        ("write", WRITE),
        ("append", APPEND),
        ("edit", O_WRONLY),
        ("update", O_RDWR),
        ("create", WRITE | flags::O_F_CREATED),
    ];
    let flags = match (call.entries.take("for"), call.entries.take("flags")) {
        (Some(_), Some(flags)) => return t.notes.wrong(flags.span, "`for` says it already"),
        (Some(way), None) => t.notes.one_of(way, &ways)?,
        (None, Some(flags)) => t.flags(flags, "file_flags")?,
        (None, None) => READ,
    };
    if let Some(error) = t.result(call).ok()?.filter(|result| *result < 0) {
        t.trace.open_failed(call.task, &path, flags, error);
        return Some(());
    }
    let fd = t.trace.open(call.task, &path, flags);
    t.name_descriptor(call, fd)
}

fn read(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let data = t.option(call, "data").ok()?.unwrap_or_default();
    t.trace.read(call.task, fd, data.as_bytes());
    Some(())
}

fn write(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let data = t.option(call, "data").ok()?.unwrap_or_default();
    t.trace.write(call.task, fd, data.as_bytes());
    Some(())
}

fn close(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    t.trace.close(call.task, fd);
    Some(())
}

fn dup2(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let to = call.entries.need("to", "`dup2`", t.notes)?;
    let to = t.descriptor(to)?;
    t.trace.dup2(call.task, fd, to);
    Some(())
}

fn unlink(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    t.trace.unlink(call.task, &path);
    Some(())
}

fn remove(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    t.trace.unlinkat(call.task, &path);
    Some(())
}

fn rename(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let (from, to) = (t.text(call.value)?, t.needed(call, "to")?);
    t.trace.rename(call.task, &from, &to);
    Some(())
}

fn mkdir(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    t.trace.mkdir(call.task, &path);
    Some(())
}

fn symlink(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let (target, link) = (t.text(call.value)?, t.needed(call, "link")?);
    t.trace.symlink(call.task, &target, &link);
    Some(())
}

fn link(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let (old, new) = (t.text(call.value)?, t.needed(call, "to")?);
    t.trace.link(call.task, &old, &new);
    Some(())
}

fn chmod(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    let node = call.entries.need("mode", "`chmod`", t.notes)?;
    let text = t.text(node)?;
    let octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = match u32::from_str_radix(&text, 8) {
        // The format's bits are those of the kernel here.
        Ok(mode) if octal => mode,
        _ => t.flags(node, "chmod_mode")?,
    };
    t.trace.chmod(call.task, &path, mode);
    Some(())
}

fn mount(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let device = t.text(call.value)?;
    let (dir, kind) = (t.needed(call, "on")?, t.option(call, "type").ok()?.unwrap_or_else(|| "ext4".to_owned()));
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.mount(call.task, &device, &dir, &kind, result);
    Some(())
}

fn chdir(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    t.trace.chdir(call.task, &path);
    Some(())
}

/// `from`, or where connections come from that do not say it.
fn source(t: &mut Teller<'_>, call: &mut Call<'_>, remote: Endpoint) -> Option<Endpoint> {
    let Some(node) = call.entries.take("from") else { return Some(local(remote)) };
    let from = t.endpoint(node)?;
    if from.ip.is_ipv4() != remote.ip.is_ipv4() {
        return t.notes.wrong(node.span, "both ends of a connection are IPv4, or both IPv6");
    }
    Some(from)
}

fn connect(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let target = t.text(call.value)?;
    if target.starts_with('/') {
        let fd = t.trace.connect_unix(call.task, &target);
        return t.name_descriptor(call, fd);
    }
    let remote = t.endpoint(call.value)?;
    let from = source(t, call, remote)?;
    let fd = match t.result(call).ok()? {
        None => t.trace.connect(call.task, from, remote),
        Some(result) => {
            let family = if remote.ip.is_ipv4() { flags::AF_INET } else { flags::AF_INET6 };
            let fd = t.trace.socket(call.task, family, flags::SOCK_STREAM, 0);
            t.trace.connect_fd(call.task, fd, from, remote, result);
            fd
        }
    };
    t.name_descriptor(call, fd)
}

fn listen(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let local = t.endpoint(call.value)?;
    let fd = t.trace.listen(call.task, local);
    t.name_descriptor(call, fd)
}

fn accept(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let remote = t.endpoint(call.value)?;
    let local = match call.entries.take("on") {
        Some(node) => t.endpoint(node)?,
        None => Endpoint::new(if remote.ip.is_ipv4() { "10.0.0.5" } else { "2001:db8::5" }, 80),
    };
    if local.ip.is_ipv4() != remote.ip.is_ipv4() {
        return t.notes.wrong(call.value.span, "both ends of a connection are IPv4, or both IPv6");
    }
    let fd = t.trace.accept(call.task, remote, local);
    t.name_descriptor(call, fd)
}

fn send(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let remote = t.endpoint(call.value)?;
    let from = source(t, call, remote)?;
    let data = t.option(call, "data").ok()?.unwrap_or_default();
    let fd = t.trace.send_datagram(call.task, from, remote, data.as_bytes());
    t.name_descriptor(call, fd)
}

fn socket(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let text = t.text(call.value)?;
    let mut parts = text.split_whitespace();
    let domain = match parts.next() {
        Some("AF_UNIX") => flags::AF_UNIX,
        Some("AF_INET") => flags::AF_INET,
        Some("AF_INET6") => flags::AF_INET6,
        Some("AF_PACKET") => flags::AF_PACKET,
        other => match other.and_then(words::number) {
            Some(number) => number as u32,
            None => {
                return t.notes.wrong(call.value.span, "a domain: AF_UNIX, AF_INET, AF_INET6, AF_PACKET or a number");
            }
        },
    };
    let kind = match parts.next() {
        Some("SOCK_STREAM") => flags::SOCK_STREAM,
        Some("SOCK_DGRAM") => flags::SOCK_DGRAM,
        Some("SOCK_RAW") => flags::SOCK_RAW,
        other => match other.and_then(words::number) {
            Some(number) => number as u32,
            None => return t.notes.wrong(call.value.span, "a type: SOCK_STREAM, SOCK_DGRAM, SOCK_RAW or a number"),
        },
    };
    let protocol = match parts.next().map(words::number) {
        None => 0,
        Some(Some(number)) => number as u32,
        Some(None) => return t.notes.wrong(call.value.span, "the protocol is a number"),
    };
    let fd = t.trace.socket(call.task, domain, kind, protocol);
    t.name_descriptor(call, fd)
}

fn setuid(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let uid = t.number(call.value)?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.setuid(call.task, uid, result);
    Some(())
}

fn setresuid(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let uid = t.number(call.value)?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.setresuid(call.task, uid, result);
    Some(())
}

/// A call without arguments takes no value.
fn nothing(t: &mut Teller<'_>, call: &Call<'_>) -> Told {
    if call.value.is_null() { Some(()) } else { t.notes.wrong(call.value.span, "this takes no value: `~`") }
}

fn setsid(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    nothing(t, call)?;
    t.trace.setsid(call.task);
    Some(())
}

fn setpgid(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    nothing(t, call)?;
    t.trace.setpgid(call.task);
    Some(())
}

fn login(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let uid = t.number(call.value)?;
    t.trace.audit_login(call.task, uid);
    Some(())
}

fn ptrace(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let request = t.text(call.value)?;
    t.flags(call.value, "ptrace_requests")?;
    let of = call.entries.need("of", "`ptrace`", t.notes)?;
    let target = t.actor(of)?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.ptrace(call.task, &request, target, result);
    Some(())
}

fn write_memory(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let target = t.actor(call.value)?;
    let data = t.option(call, "data").ok()?.unwrap_or_default();
    t.trace.write_memory(call.task, target, data.as_bytes());
    Some(())
}

fn setns(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let kind = match call.entries.take("type") {
        Some(kind) => t.flags(kind, "clone_flags")?,
        None => 0,
    };
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.setns(call.task, fd, kind, result);
    Some(())
}

fn unshare(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let kinds = t.flags(call.value, "clone_flags")?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.unshare(call.task, kinds, result);
    Some(())
}

fn init_module(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let arguments = if call.value.is_null() { String::new() } else { t.text(call.value)? };
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.init_module(call.task, &arguments, result);
    Some(())
}

fn finit_module(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.finit_module(call.task, fd, result);
    Some(())
}

fn bpf(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let command = t.text(call.value)?;
    t.flags(call.value, "bpf_commands")?;
    let fd = t.trace.bpf(call.task, &command);
    t.name_descriptor(call, fd)
}

fn memfd(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let name = if call.value.is_null() { String::new() } else { t.text(call.value)? };
    let fd = t.trace.memfd(call.task, &name);
    t.name_descriptor(call, fd)
}

fn userfaultfd(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.trace.userfaultfd(call.task);
    t.name_descriptor(call, fd)
}

fn container(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let container = t.container_named(call.value)?;
    let later = match call.entries.take("async") {
        Some(node) => t.notes.yes(node)?,
        None => false,
    };
    if later {
        t.trace.container_async(&container);
    } else {
        t.trace.container(&container);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of every event.
    const COMMON: [&str; 3] = ["by", "after", "at"];

    #[test]
    fn no_verb_is_told_twice_or_looks_like_a_common_key() {
        for (at, verb) in VERBS.iter().enumerate() {
            assert!(!COMMON.contains(&verb.name), "{}", verb.name);
            assert!(VERBS.iter().skip(at + 1).all(|other| other.name != verb.name), "{}", verb.name);
        }
    }

    #[test]
    fn endpoints_are_addresses_with_ports() {
        assert_eq!(parse_endpoint("10.0.0.1:80"), Some(Endpoint::new("10.0.0.1", 80)));
        assert_eq!(parse_endpoint("[::1]:80"), Some(Endpoint::new("::1", 80)));
        assert_eq!(parse_endpoint("example.org:80"), None);
        assert_eq!(parse_endpoint("10.0.0.1"), None);
    }
}
