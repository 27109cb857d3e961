//! One pass over one capture: every event into every table that is wanted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

use casebook_formats::event::Event;
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::tables::ppme;
use casebook_replay::audit::json::Json;
use casebook_replay::context::EventContext;
use casebook_replay::detect::{Form, Session};
use casebook_replay::engine::Visitor;
use casebook_replay::fields::catalogue::K8S_AUDIT_SOURCE;
use casebook_replay::state::{State, Thread};
use casebook_rules::event::{EventFields as _, Extracted};
use casebook_rules::priority::Priority;
use casebook_rules::value::Value;
use foldhash::fast::FixedState;

use super::cells::{Cell, Field};
use super::containers::{self, Containers};
use super::dns;
use super::files::{Doer, Files};
use super::lives::{EXECS, Lives};
use super::network::{Network, canonical};
use super::table::{Builder, Sink};
use super::words::Words;
use super::{Error, Reading};

/// Rows of `dns` of one capture; what comes after them is counted in the ledger.
const MAX_DNS_ROWS: u64 = 1 << 20;
/// Addresses with names that are remembered.
const MAX_NAMES: usize = 1 << 18;
/// Port of DNS.
const DNS_PORT: u16 = 53;

/// Everything that is made of one capture.
pub(super) struct Collector<'a> {
    pub(super) words: Words,
    pub(super) sink: &'a mut dyn Sink,
    events: Option<Builder>,
    execs: Option<Builder>,
    lives: Lives,
    files: Option<Files>,
    network: Option<Network>,
    dns: Option<Builder>,
    dns_refused: u64,
    named: HashMap<IpAddr, u32, FixedState>,
    containers: Option<(Containers, Builder)>,
    users: Option<Builder>,
    audit: Option<Builder>,
    alerts: Option<Alerts<'a>>,
    fields: Fields,
    /// Bytes that rows may take.
    limit: u64,
    /// Rows left out for it.
    left_out: u64,
    /// What rules counted.
    pub(super) ledger: Ledger,
    pub(super) host: Option<Vec<u8>>,
    pub(super) machine: Option<(u32, u64)>,
    pub(super) error: Option<Error>,
    pub(super) is_log: bool,
    advance: &'a (dyn Fn(u64, u64) + Sync),
    told: (u64, u64),
}

/// Fields that the tables share.
struct Fields {
    proc_name: Option<Field>,
    container_id: Option<Field>,
    buffer: Option<Field>,
    scratch: Vec<u8>,
}

/// Rules at work.
struct Alerts<'a> {
    table: Builder,
    session: Session<'a>,
    matched: Vec<u32>,
    line: Vec<u8>,
}

/// What a capture came to.
pub(super) struct Counts {
    pub(super) processes: u64,
    pub(super) alerts: u64,
}

impl<'a> Collector<'a> {
    pub(super) fn new(reading: &Reading<'a>, sink: &'a mut dyn Sink) -> Self {
        let Reading { wanted, counted, detector, limit, advance, .. } = *reading;
        let table = |name| Builder::new(name, wanted, counted);
        let alerts = detector.and_then(|detector| {
            let session = detector.session(Form::Json);
            Some(Alerts { table: table("alerts")?, session, matched: Vec::new(), line: Vec::new() })
        });
        // Names of addresses come from DNS, also when only the connections are wanted.
        let fields = Fields {
            proc_name: Field::call("proc.name"),
            container_id: Field::call("container.id"),
            buffer: Field::call("evt.buffer"),
            scratch: Vec::new(),
        };
        Self {
            words: Words::new(),
            sink,
            events: table("events"),
            execs: table("execs"),
            lives: Lives::new(table("processes")),
            files: table("files").map(Files::new),
            network: table("network").map(Network::new),
            dns: table("dns"),
            dns_refused: 0,
            named: HashMap::default(),
            containers: table("containers").map(|table| (Containers::default(), table)),
            users: table("users"),
            audit: table("k8s_audit"),
            alerts,
            fields,
            limit,
            left_out: 0,
            ledger: Ledger::default(),
            host: None,
            machine: None,
            error: None,
            is_log: false,
            advance,
            told: (0, 0),
        }
    }

    fn look(&mut self, context: &EventContext<'_>) -> Result<(), Error> {
        self.lives.settle(&mut self.words, self.sink)?;
        let (upid, parent_upid) =
            self.lives.event(context.event, context.state, context.thread, true, &mut self.words, self.sink)?;
        let ts = context.event.ts;
        if let Some((containers, _)) = &mut self.containers {
            containers.event(context);
        }
        self.event_row(context, upid)?;
        if self.execs.is_some()
            && EXECS.contains(&context.event.etype)
            && !self.is_full()
            && let Some(execs) = &mut self.execs
        {
            let made = |column: &str| match column {
                "time" => Cell::Time(ts),
                "upid" => upid.into(),
                "parent_upid" => parent_upid.into(),
                _ => Cell::Null,
            };
            execs.event(&mut self.words, context, made, self.sink)?;
        }
        let Self { files, network, fields, words, .. } = self;
        if let Some(files) = files
            && Files::is_about(context.event.etype)
        {
            files.event(context, |words| fields.doer(context, upid, words), words);
        }
        if Network::is_about(context.event.etype) {
            if let Some(network) = network {
                network.event(context, |words| fields.doer(context, upid, words), words);
            }
            self.names(context, upid)?;
        }
        self.audit_row(context)?;
        self.alert_rows(context, upid)
    }

    /// Bytes of all that is held.
    fn weight(&self) -> u64 {
        let tables = [&self.events, &self.execs, &self.dns, &self.audit].into_iter().flatten();
        let alerts = self.alerts.as_ref().map_or(0, |alerts| alerts.table.weight);
        let counted = self.files.as_ref().map_or(0, Files::weight) + self.network.as_ref().map_or(0, Network::weight);
        tables.map(|table| table.weight).sum::<u64>()
            + alerts
            + counted
            + self.lives.weight()
            + self.words.weight() as u64
    }

    /// Whether there is no room for another row; the row counts as left out then.
    fn is_full(&mut self) -> bool {
        let full = self.weight() > self.limit;
        self.left_out += u64::from(full);
        full
    }

    fn event_row(&mut self, context: &EventContext<'_>, upid: Option<u64>) -> Result<(), Error> {
        // The last eighth is for alerts, programs and requests: there are fewer of them, and they say more.
        let full = self.weight() > self.limit - self.limit / 8;
        let Some(events) = &mut self.events else { return Ok(()) };
        if full {
            self.left_out += 1;
            return Ok(());
        }
        let event = context.event;
        let made = |column: &str| match column {
            "time" => Cell::Time(event.ts),
            "tid" => Cell::from((event.tid > 0).then_some(event.tid)),
            "upid" => upid.into(),
            _ => Cell::Null,
        };
        events.event(&mut self.words, context, made, self.sink)
    }

    /// DNS messages on their way to or from a server.
    fn names(&mut self, context: &EventContext<'_>, upid: Option<u64>) -> Result<(), Error> {
        let Some(fd) = context.fd else { return Ok(()) };
        let Some(tuple) = fd.tuple.filter(|tuple| tuple.server.1 == DNS_PORT) else { return Ok(()) };
        if self.dns.is_none() && self.network.is_none() {
            return Ok(());
        }
        let Some(buffer) = &self.fields.buffer else { return Ok(()) };
        let Extracted::One(Value::Bytes(bytes) | Value::Text(bytes)) = context.extract(buffer.field()) else {
            return Ok(());
        };
        // Over TCP the length stands in front.
        let message = if fd.l4 == 2 { bytes.get(2..).unwrap_or_default() } else { &bytes[..] };
        let server = canonical(tuple.server.0).to_string();
        let records = dns::records(message);
        // The name that was asked for, through aliases: the owner of the first record.
        let asked = records.first().map(|record| record.name.clone());
        for record in records {
            if let (Some(address), Some(asked)) = (record.address, &asked)
                && (self.named.len() < MAX_NAMES || self.named.contains_key(&address))
                && let Some(code) = self.words.code(asked)
            {
                self.named.insert(canonical(address), code);
            }
            let Some(dns) = &mut self.dns else { continue };
            if dns.total >= MAX_DNS_ROWS {
                self.dns_refused += 1;
                continue;
            }
            let made = |column: &str| match column {
                "time" => Cell::Time(context.event.ts),
                "upid" => upid.into(),
                "query" => Cell::Bytes(&record.name),
                "type" => Cell::Text(&record.kind),
                "answer" => record.answer.as_deref().into(),
                "server_ip" => Cell::Text(&server),
                _ => Cell::Null,
            };
            dns.event(&mut self.words, context, made, self.sink)?;
        }
        Ok(())
    }

    fn audit_row(&mut self, context: &EventContext<'_>) -> Result<(), Error> {
        let Some(document) = context.document.filter(|document| document.source == K8S_AUDIT_SOURCE) else {
            return Ok(());
        };
        if self.audit.is_none() || self.is_full() {
            return Ok(());
        }
        let Some(audit) = &mut self.audit else { return Ok(()) };
        let addresses = document.json.get("sourceIPs").and_then(Json::list).map(|list| {
            let texts: Vec<String> = list.iter().map(Json::text).collect();
            texts.join(",")
        });
        let made = |column: &str| match column {
            "time" => Cell::Time(context.event.ts),
            "source_ips" => addresses.as_deref().into(),
            _ => Cell::Null,
        };
        audit.event(&mut self.words, context, made, self.sink)
    }

    fn alert_rows(&mut self, context: &EventContext<'_>, upid: Option<u64>) -> Result<(), Error> {
        let held = self.weight();
        let Some(Alerts { table, session, matched, line }) = &mut self.alerts else { return Ok(()) };
        session.matching(context, &mut self.ledger, matched);
        for &rule in matched.iter() {
            if let Some(thread) = context.thread {
                self.lives.alert(thread.pid);
            }
            if held > self.limit {
                self.left_out += 1;
                continue;
            }
            let absent = session.untold(rule, context);
            if !absent.is_empty() {
                self.ledger.count(Counter::AlertsOnAbsentFields);
            }
            let untold = absent.join(",");
            line.clear();
            session.render(rule, context, absent, line);
            let told: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
            let text = |name: &str| told.get(name).and_then(serde_json::Value::as_str);
            let tags = told.get("tags").and_then(serde_json::Value::as_array).map(|tags| {
                let tags: Vec<&str> = tags.iter().filter_map(serde_json::Value::as_str).collect();
                tags.join(",")
            });
            let fields = told.get("output_fields").map(serde_json::Value::to_string);
            let severity = text("priority").and_then(Priority::parse);
            let made = |column: &str| match column {
                "time" => Cell::Time(context.event.ts),
                "rule" => text("rule").into(),
                "priority" => text("priority").into(),
                "severity" => severity.map(|priority| priority as i64).into(),
                "source" => text("source").into(),
                "tags" => tags.as_deref().into(),
                "output" => text("output").into(),
                "upid" => upid.into(),
                "fields" => fields.as_deref().into(),
                "absent" if !untold.is_empty() => Cell::Text(&untold),
                _ => Cell::Null,
            };
            table.event(&mut self.words, context, made, self.sink)?;
        }
        Ok(())
    }

    fn begin(&mut self, state: &State) -> Result<(), Error> {
        let machine = state.machine();
        if !machine.hostname.is_empty() {
            self.host.get_or_insert_with(|| machine.hostname.clone());
        }
        if machine.num_cpus > 0 {
            self.machine.get_or_insert((machine.num_cpus, machine.boot_ts));
        }
        for table in [&mut self.events, &mut self.execs, &mut self.dns, &mut self.audit].into_iter().flatten() {
            table.section();
        }
        if let Some(alerts) = &mut self.alerts {
            alerts.table.section();
        }
        self.lives.section(state, &mut self.words, self.sink)?;
        if let Some((containers, _)) = &mut self.containers {
            containers.known(state);
        }
        let Self { network, lives, fields, words, .. } = self;
        if let Some(network) = network {
            network.section(state, |tid, words| fields.owner(state, tid, lives, words), words);
        }
        Ok(())
    }

    /// The capture is over: aggregates become rows, and every table is handed over.
    pub(super) fn finish(&mut self, state: &State) -> Result<Counts, Error> {
        let Self { words, sink, .. } = self;
        let sink: &mut dyn Sink = *sink;
        self.lives.finish(state, words, sink)?;
        let mut refused = self.left_out + self.dns_refused;
        if let Some(files) = self.files.take() {
            refused += files.refused();
            files.finish(words, sink)?;
        }
        if let Some(network) = self.network.take() {
            refused += network.refused();
            network.finish(&self.named, words, sink)?;
        }
        if let Some((mut all, table)) = self.containers.take() {
            all.known(state);
            refused += all.refused;
            all.finish(table, words, sink)?;
        }
        if let Some(users) = &mut self.users {
            containers::users(state, users, words, sink)?;
        }
        let mut alerts = 0;
        if let Some(rules) = &mut self.alerts {
            alerts = rules.table.total;
            rules.table.finish(words, sink)?;
        }
        let tables = [&mut self.events, &mut self.execs, &mut self.dns, &mut self.users, &mut self.audit];
        for table in tables.into_iter().flatten() {
            table.finish(words, sink)?;
        }
        self.ledger.add(Counter::TablesFull, refused + words.refused);
        Ok(Counts { processes: self.lives.count(), alerts })
    }

    /// Remembers the first thing that went wrong.
    fn note(&mut self, outcome: Result<(), Error>) -> ControlFlow<()> {
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error.get_or_insert(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl Fields {
    /// The process of an event, as the tables of uses name it.
    fn doer(&mut self, context: &EventContext<'_>, upid: Option<u64>, words: &mut Words) -> Doer {
        let mut code = |field: &Option<Field>| {
            let known = field.as_ref().is_some_and(|field| field.text(context, &mut self.scratch));
            if known { words.code(&self.scratch) } else { None }
        };
        Doer { upid, proc_name: code(&self.proc_name), container_id: code(&self.container_id) }
    }

    /// The same of a thread that nothing has happened in.
    fn owner(&mut self, state: &State, tid: i64, lives: &Lives, words: &mut Words) -> Doer {
        let effects = state.as_seen_by(tid);
        let event = super::lives::silence(tid);
        let upid = state.thread(tid).and_then(|thread: &Thread| lives.number(thread));
        self.doer(&EventContext::new(&event, state, &effects), upid, words)
    }
}

impl Visitor for Collector<'_> {
    fn section(&mut self, state: &State) {
        let outcome = self.begin(state);
        let _ = self.note(outcome);
    }

    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        if self.error.is_some() {
            return ControlFlow::Break(());
        }
        self.is_log |= context.document.is_some() && context.event.etype == ppme::PPME_PLUGINEVENT_E;
        let outcome = self.look(context);
        self.note(outcome)
    }

    fn hidden(&mut self, event: &Event<'_>, state: &State) {
        let settled = self.lives.settle(&mut self.words, self.sink);
        let thread = state.thread(event.tid);
        let lived = self.lives.event(event, state, thread, false, &mut self.words, self.sink);
        // The next event that is shown ends the capture.
        let _ = self.note(settled.and(lived.map(drop)));
    }

    fn progress(&mut self, bytes: u64, events: u64) {
        (self.advance)(bytes.saturating_sub(self.told.0), events.saturating_sub(self.told.1));
        self.told = (bytes, events);
    }
}
