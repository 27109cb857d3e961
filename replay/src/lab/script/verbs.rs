//! What processes of a script can do: one table of verbs, from which the reference page is made as well.
//!
//! An event is `{by: PROCESS, VERB: VALUE, OPTION: ..., after: 1.5s}`. A verb writes the events a recorder would have
//! written, sockets and descriptors included; where the value is a mapping, the key is an event of the event table
//! instead and the mapping its parameters ([`super::params`]).

mod files;
mod kernel;
mod network;
mod process;

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
    Verb { name: "spawn", value: "command line", options: "`as`, and those of `exec`", does: "a child is forked and becomes another program; `as` names it, otherwise its program does", tell: process::spawn },
    Verb { name: "exec", value: "command line", options: EXEC_OPTIONS, does: "the process becomes another program. The first word is the path; `argv` begins with its file name unless given. With `res: ENOENT` it fails (`call: execveat` for the other system call)", tell: process::exec },
    Verb { name: "fork", value: "name of the child", options: "", does: "a child process", tell: process::fork },
    Verb { name: "vfork", value: "name of the child", options: "", does: "a child process, by vfork", tell: process::vfork },
    Verb { name: "thread", value: "name of the thread", options: "", does: "another thread of the process", tell: process::thread },
    Verb { name: "enter", value: "container", options: "`run: command line`, `as`, and those of `exec`", does: "a runtime starts a process in a container from outside, as `docker exec` does", tell: process::enter },
    Verb { name: "exit", value: "status", options: "", does: "the process ends", tell: process::exit },
    Verb { name: "open", value: "path", options: "`for: read\\|write\\|append\\|edit\\|create\\|update`, or `flags`; `res`, `as`", does: "openat, for reading unless told otherwise: `write` creates and cuts, `append` creates, `edit` changes what is there, `update` reads and writes, `create` creates for sure; `as` names the descriptor", tell: files::open },
    Verb { name: "read", value: "descriptor", options: "`data`", does: "read", tell: files::read },
    Verb { name: "write", value: "descriptor", options: "`data`", does: "write", tell: files::write },
    Verb { name: "close", value: "descriptor", options: "", does: "close", tell: files::close },
    Verb { name: "dup2", value: "descriptor", options: "`to`", does: "the descriptor `to` becomes another name of it", tell: files::dup2 },
    Verb { name: "unlink", value: "path", options: "", does: "unlink", tell: files::unlink },
    Verb { name: "remove", value: "path", options: "", does: "unlinkat, as rm does it", tell: files::remove },
    Verb { name: "rename", value: "path", options: "`to`", does: "rename", tell: files::rename },
    Verb { name: "mkdir", value: "path", options: "", does: "mkdir", tell: files::mkdir },
    Verb { name: "symlink", value: "target", options: "`at`: path of the link, given as `link`", does: "symlink", tell: files::symlink },
    Verb { name: "link", value: "path", options: "`to`", does: "link: a second name", tell: files::link },
    Verb { name: "chmod", value: "path", options: "`mode`: octal, as for chmod, or names of `chmod_mode`", does: "chmod", tell: files::chmod },
    Verb { name: "mount", value: "device", options: "`on`, `type`, `res`", does: "mount", tell: files::mount },
    Verb { name: "chdir", value: "path", options: "", does: "chdir", tell: files::chdir },
    Verb { name: "connect", value: "`address:port` or path of a unix socket", options: "`from`, `res`, `as`", does: "socket and connect over TCP, pending unless `res` says otherwise", tell: network::connect },
    Verb { name: "listen", value: "`address:port`", options: "`as`", does: "socket, bind and listen", tell: network::listen },
    Verb { name: "accept", value: "`address:port` of the client", options: "`on`, `as`", does: "accept4", tell: network::accept },
    Verb { name: "send", value: "`address:port`", options: "`from`, `data`, `as`", does: "a datagram from a new UDP socket", tell: network::send },
    Verb { name: "socket", value: "`DOMAIN TYPE [PROTOCOL]`, such as `AF_PACKET SOCK_RAW 768`", options: "`as`", does: "socket", tell: network::socket },
    Verb { name: "setuid", value: "number", options: "`res`", does: "setuid", tell: process::setuid },
    Verb { name: "setresuid", value: "number", options: "`res`", does: "setresuid with that number three times", tell: process::setresuid },
    Verb { name: "setsid", value: "`~`", options: "", does: "setsid", tell: process::setsid },
    Verb { name: "setpgid", value: "`~`", options: "", does: "setpgid(0, 0), as shells do it for what they start", tell: process::setpgid },
    Verb { name: "login", value: "number", options: "", does: "the audit identity changes; no event tells it, the next exec carries it", tell: process::login },
    Verb { name: "ptrace", value: "request, such as `PTRACE_ATTACH`", options: "`of`: process; `res`", does: "ptrace", tell: kernel::ptrace },
    Verb { name: "write_memory", value: "process", options: "`data`", does: "process_vm_writev", tell: kernel::write_memory },
    Verb { name: "setns", value: "descriptor", options: "`type`: names of `clone_flags`; `res`", does: "setns", tell: kernel::setns },
    Verb { name: "unshare", value: "names of `clone_flags`", options: "`res`", does: "unshare", tell: kernel::unshare },
    Verb { name: "init_module", value: "arguments of the module", options: "`res`", does: "init_module", tell: kernel::init_module },
    Verb { name: "finit_module", value: "descriptor", options: "`res`", does: "finit_module", tell: kernel::finit_module },
    Verb { name: "bpf", value: "command, such as `BPF_PROG_LOAD`", options: "`as`", does: "bpf", tell: kernel::bpf },
    Verb { name: "memfd", value: "name", options: "`as`", does: "memfd_create", tell: kernel::memfd },
    Verb { name: "userfaultfd", value: "`~`", options: "`as`", does: "userfaultfd", tell: kernel::userfaultfd },
    Verb { name: "container", value: "container", options: "`async: true`", does: "the metadata of a container, once more; no `by`", tell: kernel::container },
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
